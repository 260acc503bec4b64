//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import CCallCounter

/// Counts the calling thread's allocations and system calls, by the C library's functions that this executable puts its own before.
enum CallCounter {
    /// False without glibc and under a sanitizer.
    static var isAvailable: Bool { ninefold_calls_can_be_counted() }

    static func begin() { ninefold_begin_counting_calls() }

    /// What the thread has called since ``begin()``; nil where it cannot be counted.
    static func end() -> [Metric: Int64]? {
        let counts = ninefold_end_counting_calls()
        guard isAvailable else { return nil }
        return [.allocations: counts.allocations, .allocatedBytes: counts.allocated_bytes, .systemCalls: counts.system_calls]
    }
}

extension CallCounter {
    static func frame(_ address: UInt) -> AllocationSite.Frame {
        var offset: UInt = 0
        guard let file = ninefold_file_of_address(address, &offset) else { return AllocationSite.Frame(file: "?", offset: address) }
        return AllocationSite.Frame(file: String(cString: file), offset: offset)
    }

    /// The first allocations of a stretch of code, with the addresses they were called from.
    struct Trace {
        private let room: UnsafeMutablePointer<ninefold_allocation>
        private let capacity: Int

        init(capacity: Int) {
            self.capacity = capacity
            room = .allocate(capacity: capacity)
            room.initialize(repeating: ninefold_allocation(), count: capacity)
        }

        func begin() { ninefold_begin_tracing_allocations(room, Int64(capacity)) }

        /// Stops, and gives back the room. Bytes and addresses, the nearest caller first.
        func end() -> [(bytes: Int, addresses: [UInt])] {
            let count = min(capacity, Int(ninefold_end_counting_calls().allocations))
            defer { room.deallocate() }
            return (0..<count).map { index in
                let addresses = withUnsafeBytes(of: room[index].frames) { bytes in
                    bytes.bindMemory(to: UInt.self).prefix(Int(room[index].depth)).map { $0 }
                }
                return (Int(room[index].bytes), addresses)
            }
        }
    }
}
