//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogEngine
internal import LogModel
internal import Logging
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

extension OffsetsPartition {
    fileprivate struct Loaded {
        var groups: [String: GroupSnapshot] = [:]
        var offsets: [String: [OffsetKey: StoredOffset]] = [:]
        var records = 0
    }

    /// Reads the whole log and takes up the groups. Tries until it is done, or the partition is led by another.
    func load(on worker: any Worker) async {
        var pause = Duration.milliseconds(20)
        while state.withLock({ $0.status == .loading }) {
            do throws(LogError) {
                let began = clock.now()
                let loaded = try await read(on: worker)
                takeUp(loaded)
                logger.info(
                    "Groups loaded",
                    metadata: [
                        "groups": "\(loaded.groups.count)", "records": "\(loaded.records)",
                        "seconds": "\((clock.now() - began).inSeconds)",
                    ])
                return
            } catch {
                logger.warning("Groups could not be loaded yet", metadata: ["error": "\(error)"])
                do { try await clock.sleep(for: pause) } catch { return }
                pause = min(pause * 2, .seconds(1))
            }
        }
    }

    private func read(on worker: any Worker) async throws(LogError) -> Loaded {
        var loaded = Loaded()
        let offsets = log.offsets
        var position = offsets.logStart
        while position < offsets.logEnd {
            let result = try await log.read(
                from: position, maxBytes: settings.loadBufferBytes, minOneBatch: true, bound: .logEnd, reader: .consumer,
                currentLeaderEpoch: epoch)
            // A part taken for the whole would bring back offsets that had been committed over.
            guard !result.records.isEmpty else { throw Self.stuck(log.partition, at: position, of: offsets) }
            // Slices may lie in files: they are read where blocking harms nobody.
            let (entries, next) = try await worker.run { [log] () throws(LogError) -> ([(Offset, GroupRecord)], Offset) in
                try Self.parse(result.records, of: log.partition)
            }
            guard next > position else { throw Self.stuck(log.partition, at: position, of: offsets) }
            for (offset, record) in entries where offset >= position { loaded.apply(record, at: offset) }
            position = next
        }
        return loaded
    }

    private static func stuck(_ partition: PartitionID, at position: Offset, of offsets: LogOffsets) -> LogError {
        LogError(.notAvailable, "\(partition) gives nothing at offset \(position), though it ends at \(offsets.logEnd)")
    }

    private static func parse(_ slices: LogSlices, of partition: PartitionID) throws(LogError) -> ([(Offset, GroupRecord)], Offset)
    {
        var records: [(Offset, GroupRecord)] = []
        var next = Offset.zero
        do {
            let batches = try RecordBatches(verifying: try slices.contiguous(), allowsPartialTail: true)
            for entry in batches.entries {
                next = entry.header.endOffset
                if entry.header.isControl { continue }
                for record in try batches.records(of: entry) {
                    // A record nobody can read must not keep the others from being loaded.
                    if let read = try? GroupRecord(reading: record) { records.append((record.offset, read)) }
                }
            }
        } catch let error as LogError {
            throw error
        } catch {
            throw LogError(.corruptLog, "the groups in \(partition) cannot be read", cause: error)
        }
        return (records, next)
    }

    private func takeUp(_ loaded: Loaded) {
        let now = now
        let ids = state.withLock { state -> [String] in
            guard state.status == .loading else { return [] }
            state.status = .active
            for (id, snapshot) in loaded.groups {
                state.groups[id] = Group(state: GroupState(restoring: snapshot, limits: settings.limits, at: now))
            }
            for (id, offsets) in loaded.offsets where !offsets.isEmpty {
                state.groups[id, default: Group(state: GroupState(id: id, limits: settings.limits, at: now))].offsets = offsets
            }
            return Array(state.groups.keys)
        }
        // Sets the timers.
        for id in ids { _ = change(id) { _, _ in ((), []) } }
    }
}

extension OffsetsPartition.Loaded {
    fileprivate mutating func apply(_ record: GroupRecord, at offset: Offset) {
        records += 1
        switch record {
        case .offset(let group, let key, let committed):
            offsets[group, default: [:]][key] = committed.map { OffsetsPartition.StoredOffset(committed: $0, logOffset: offset) }
        case .group(let id, let snapshot): groups[id] = snapshot
        case .other: break
        }
    }
}
