//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Glibc
internal import Metering
internal import RuntimeEnvironment
internal import SimulationKit
internal import Synchronization

/// Where a benchmark's files lie.
public enum BenchmarkPlace: Sendable, Hashable {
    /// In memory: what is asked of the disk can be counted, what it costs cannot.
    case simulatedDisk
    /// Below a directory that exists; each preparation makes one of its own and removes it.
    case directory(String)

    var isReal: Bool { self != .simulatedDisk }
}

/// What a benchmark is given of the world: all of it counts.
final class BenchmarkSurroundings: Sendable {
    let disk: CountingDisk
    let meters = Meters()
    private let removal: (@Sendable () -> Void)?
    private let meterStart = Mutex<[ObjectRequest: Int64]>([:])

    private static let directoryNumber = Atomic<Int>(0)

    init(_ place: BenchmarkPlace) throws {
        switch place {
        case .simulatedDisk:
            disk = CountingDisk(SimulatedDisk(seed: 1))
            removal = nil
        case .directory(let base):
            let name = "run-\(Self.directoryNumber.wrappingAdd(1, ordering: .relaxed).newValue)"
            let above = PosixDisk(root: base)
            try above.makeDirectory(name)
            let descriptor = open("\(base)/\(name)", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard descriptor >= 0 else { throw BenchmarkFailure("\(base)/\(name) cannot be opened: errno \(errno)") }
            disk = CountingDisk(PosixDisk(root: Self.root(descriptor)))
            removal = {
                close(descriptor)
                try? above.removeTree(name)
            }
        }
    }

    /// A name of one length for any directory: how often a path is allocated depends on its length.
    private static func root(_ descriptor: CInt) -> String {
        let number = String(descriptor)
        return "/proc/self/fd" + String(repeating: "/", count: max(1, 8 - number.count)) + number
    }

    /// The machine's clock; jobs run where they are submitted, and chance is the same in every run.
    var environment: RuntimeEnvironment {
        RuntimeEnvironment(clock: SystemClock(), randomness: SeededRandomSource(seed: 1), workers: InlineWorkers())
    }

    /// Counts begin at zero here.
    func reset() {
        disk.counts.reset()
        meterStart.withLock { $0 = meters.objectRequests.mapValues(\.value) }
    }

    /// Since ``reset()``.
    func counted(_ resources: MicroBenchmark.Resources) -> [Metric: Int64] {
        var counted: [Metric: Int64] = [:]
        if resources.contains(.disk) { counted = disk.counts.values }
        if resources.contains(.requests) {
            let start = meterStart.withLock { $0 }
            counted[.putRequests] = meters.objectRequests[.put]!.value - (start[.put] ?? 0)
            counted[.getRequests] = meters.objectRequests[.get]!.value - (start[.get] ?? 0)
        }
        return counted
    }

    func remove() { removal?() }
}
