//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import LogSegments
internal import NIOCore
internal import RuntimeEnvironment
internal import SimulationKit

/// A partition's directory of any files opens or is refused as damaged; once everything is checked it opens, reads from end to
/// end with every batch whole, recovers a second time to the same, and goes on.
///
/// ```
/// u8 mode: 1 batches' checksums are put right, 2 closed cleanly, 4 files are tried as formats of their own too
/// u8 recovery point | sections: u8 kind, u8 base / 8, u16 length, bytes
/// ```
func fuzzSegments(_ bytes: UnsafeRawBufferPointer) throws(FuzzFinding) {
    var input = FuzzInput(bytes)
    let mode = input.byte()
    let recoveryPoint = Offset(Int64(input.byte()))
    let disk = SimulatedDisk(seed: 0)
    do {
        try disk.makeDirectory("t-0")
        try disk.synchronizeDirectory("")
    } catch { throw FuzzFinding("the simulated disk failed: \(error)") }
    while !input.isEmpty {
        let (kind, base, length) = (input.byte() % 6, Int64(input.byte() % 4) * 8, input.short())
        var content = input.bytes(length)
        if kind == 0, mode & 1 != 0 { Repair.recordBatches(&content) }
        if mode & 4 != 0 { try demandFormatsAreStable(content) }
        let name =
            kind == 5 ? LeaderEpochCheckpoint.fileName : SegmentFileKind.allCases[Int(kind)].name(Offset(base))
        do {
            try disk.replaceFile("t-0/\(name)", with: content)
        } catch { throw FuzzFinding("the simulated disk failed: \(error)") }
    }
    // As found: whatever is trusted of it may be damaged.
    if let log = try open(disk, LogOpening(recoveryPoint: recoveryPoint, isClean: mode & 2 != 0), mayBeRefused: true) {
        try demandReads(log, isChecked: false)
    }
    // With nothing trusted.
    var disks = disk.crash(.processKill)
    guard let recovered = try open(disks, LogOpening(), mayBeRefused: false) else { return }
    let once = Recovered(recovered)
    try demandReads(recovered, isChecked: true)
    disks = disks.crash(.processKill)
    guard let log = try open(disks, LogOpening(logStart: once.logStart), mayBeRefused: false, mustBeWhole: true) else { return }
    try demand(Recovered(log) == once, "recovered to \(once), and then to \(Recovered(log))")
    try demandGoesOn(log, disks)
}

private struct Recovered: Equatable {
    var logStart: Offset
    var logEnd: Offset
    var epochs: [EpochStart]
    /// As a snapshot keeps them: of each its last batch, and one time.
    var producers: ProducerStates?
    var sizeInBytes: Int64

    init(_ log: SegmentedLog) {
        logStart = log.logStart
        logEnd = log.logEnd
        epochs = log.epochs.entries
        producers = ProducerSnapshot.decode(ProducerSnapshot.encode(log.producers))
        sizeInBytes = log.sizeInBytes
    }
}

private func open(
    _ disk: SimulatedDisk, _ opening: LogOpening, mayBeRefused: Bool, mustBeWhole: Bool = false
) throws(FuzzFinding) -> SegmentedLog? {
    var settings = SegmentSettings()
    settings.segmentBytes = 4_096
    settings.indexIntervalBytes = 64
    do throws(SegmentError) {
        let (log, report) = try SegmentedLog.open(disk: disk, directory: "t-0", settings: settings, opening: opening)
        try demandWithin { log.logStart <= log.logEnd }
        if mustBeWhole, let damage = report.damage { throw SegmentError.corrupt("a recovered log has damage: \(damage)") }
        return log
    } catch {
        if case .corrupt = error, mayBeRefused { return nil }
        if case .unsupported = error { return nil }
        throw FuzzFinding("the log did not open: \(error)")
    }
}

private func demandWithin(_ holds: () -> Bool) throws(SegmentError) {
    if !holds() { throw .corrupt("the log starts beyond its end") }
}

/// Asks the log all that readers do. Damage may be told; it may not be served, nor stop the clock.
private func demandReads(_ log: SegmentedLog, isChecked: Bool) throws(FuzzFinding) {
    do throws(SegmentError) {
        var next = log.logStart
        var reads = 0
        while next < log.logEnd {
            reads += 1
            guard reads < 100_000,
                let slices = try log.read(from: next, to: log.logEnd, maxBytes: 700, minOneBatch: true, mayRead: true)
            else { throw .corrupt("reading goes on for ever at \(next)") }
            guard let whole = try? slices.contiguous() else { throw .corrupt("slices at \(next) lie outside their file") }
            guard let batches = try? RecordBatches(verifying: whole, allowsPartialTail: true), let last = batches.entries.last,
                last.header.endOffset > next
            else {
                guard isChecked else { return }
                throw .corrupt("\(whole.readableBytes) bytes at \(next) of \(log.logEnd) are no batches that lead on")
            }
            next = last.header.endOffset
        }
        _ = try log.abortedTransactions(overlapping: log.logStart..<log.logEnd)
        _ = try log.sealedSegments(below: log.logEnd)
        _ = try log.firstRecord(atOrAfter: Timestamp(1_000), in: log.logStart..<log.logEnd)
        _ = try log.recordWithLargestTimestamp(in: log.logStart..<log.logEnd)
        _ = log.epochs.endOffset(for: LeaderEpoch(1), logEnd: log.logEnd)
    } catch {
        if case .corrupt(let message) = error, isChecked, !message.contains("malformed") {
            throw FuzzFinding("a recovered log cannot be read: \(message)")
        }
        if case .disk(let error) = error { throw FuzzFinding("reading failed: \(error)") }
    }
}

/// Appends, cuts, stops in order and comes back.
private func demandGoesOn(_ log: SegmentedLog, _ disk: SimulatedDisk) throws(FuzzFinding) {
    guard log.logEnd < Offset(Int64.max - 1_000) else { return }
    do {
        let records = (0..<3).map { Record(timestamp: Timestamp(1_000 + $0), key: nil, value: ByteBuffer(string: "record \($0)")) }
        let batches = try RecordBatches(verifying: RecordBatchBuilder.batch(of: records))
        let end = log.logEnd
        let epoch = max(log.epochs.latest?.epoch ?? LeaderEpoch(0), LeaderEpoch(0))
        let chunks = [AppendChunk(batches, baseOffset: end, epoch: epoch, logAppendTime: nil)]
        let (written, failure) = log.append(chunks)
        try demand(
            written == 1 && failure == nil && log.logEnd == end + 3, "a recovered log does not take appends: \(failure as Any)")
        let middle = log.logStart + (log.logEnd - log.logStart) / 2
        let cut = try log.truncate(to: middle)
        try demand(cut <= middle && cut == log.logEnd, "cut to \(middle), ended at \(cut)")
        try log.close()
        let before = Recovered(log)
        let opening = LogOpening(logStart: log.logStart, recoveryPoint: log.recoveryPoint, isClean: true)
        guard let again = try open(disk.crash(.powerCut), opening, mayBeRefused: false) else { return }
        try demand(Recovered(again) == before, "closed as \(before), opened as \(Recovered(again))")
    } catch let finding as FuzzFinding {
        throw finding
    } catch { throw FuzzFinding("a recovered log does not go on: \(error)") }
}

/// Each of the small files: what decodes encodes to bytes that decode as the same.
private func demandFormatsAreStable(_ content: ByteBuffer) throws(FuzzFinding) {
    if let epochs = LeaderEpochCheckpoint.decode(content) {
        try demand(LeaderEpochCheckpoint.decode(LeaderEpochCheckpoint.encode(epochs)) == epochs, "an epoch checkpoint changes")
    }
    if let producers = ProducerSnapshot.decode(content) {
        try demand(ProducerSnapshot.decode(ProducerSnapshot.encode(producers)) == producers, "a producer snapshot changes")
    }
    if let index = TransactionIndex(decoding: content) {
        try demand(TransactionIndex(decoding: index.encode()) == index, "a transaction index changes")
    }
    if let index = OffsetIndex(decoding: content, logSize: 1 << 20) {
        try demand(OffsetIndex(decoding: index.encode(), logSize: 1 << 20) == index, "an offset index changes")
    }
    if let index = TimeIndex(decoding: content) {
        try demand(TimeIndex(decoding: index.encode()) == index, "a time index changes")
    }
    if let checkpoint = OffsetCheckpoint(decoding: content) {
        try demand(OffsetCheckpoint(decoding: checkpoint.encode()) == checkpoint, "an offset checkpoint changes")
    }
    if let topic = PartitionMetadata.decode(content) {
        try demand(PartitionMetadata.decode(PartitionMetadata.encode(topic)) == topic, "a partition's metadata changes")
    }
    _ = ControlRecord(batch: content)
}
