//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import NIOCore

/// Who sent the records of a batch, which they are, and when each was meant to be sent: the first bytes of its first value.
///
/// ```
///  at  size field                        at  size field
///   0     4 run: tells our records        14     2 zero
///           from those of others          16     8 sequence of the first record
///   4     4 producer                      24     8 intended time of the first record, ns
///   8     4 partition                     32     8 ns between the records (IEEE 754)
///  12     2 template of the payload
/// ```
/// Big-endian. The records of a batch have consecutive sequences; a batch is kept whole by every broker, so that one identity
/// serves them all and no byte need be written per record.
package struct RecordIdentity: Hashable, Sendable {
    package static let size = 40

    package var run: UInt32
    package var producer: UInt32
    package var partition: Int32
    package var template: UInt16
    package var firstSequence: Int64
    /// Of the machine's monotonic clock.
    package var intendedNanoseconds: Int64
    package var intervalNanoseconds: Double

    package init(
        run: UInt32, producer: UInt32, partition: Int32, template: UInt16, firstSequence: Int64, intendedNanoseconds: Int64,
        intervalNanoseconds: Double
    ) {
        self.run = run
        self.producer = producer
        self.partition = partition
        self.template = template
        self.firstSequence = firstSequence
        self.intendedNanoseconds = intendedNanoseconds
        self.intervalNanoseconds = intervalNanoseconds
    }

    package func write(into buffer: inout ByteBuffer, at index: Int) {
        buffer.setInteger(run, at: index)
        buffer.setInteger(producer, at: index + 4)
        buffer.setInteger(partition, at: index + 8)
        buffer.setInteger(template, at: index + 12)
        buffer.setInteger(UInt16(0), at: index + 14)
        buffer.setInteger(firstSequence, at: index + 16)
        buffer.setInteger(intendedNanoseconds, at: index + 24)
        buffer.setInteger(intervalNanoseconds.bitPattern, at: index + 32)
    }

    /// Nil if fewer than 40 readable bytes follow `index`.
    package init?(in buffer: ByteBuffer, at index: Int) {
        guard index >= buffer.readerIndex, index + Self.size <= buffer.writerIndex,
            let run = buffer.getInteger(at: index, as: UInt32.self),
            let producer = buffer.getInteger(at: index + 4, as: UInt32.self),
            let partition = buffer.getInteger(at: index + 8, as: Int32.self),
            let template = buffer.getInteger(at: index + 12, as: UInt16.self),
            let firstSequence = buffer.getInteger(at: index + 16, as: Int64.self),
            let intended = buffer.getInteger(at: index + 24, as: Int64.self),
            let interval = buffer.getInteger(at: index + 32, as: UInt64.self)
        else { return nil }
        self.init(
            run: run, producer: producer, partition: partition, template: template, firstSequence: firstSequence,
            intendedNanoseconds: intended, intervalNanoseconds: Double(bitPattern: interval))
    }
}
