//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
public import LogEngine
internal import LogModel
internal import Logging
internal import Metering
internal import RuntimeEnvironment
internal import Synchronization

extension SharedStorageEngine {
    /// Replays what this broker's former run left in its WAL, and makes one for this run.
    ///
    /// A store that does not answer is asked again for as long as the lease holds.
    public func start() async throws(LogError) {
        if let problem = settings.problem { throw LogError(.unsupported, problem) }
        let key = SharedKey.wal(writer.broker)
        // Before the former run's log is read: that run may just be ending.
        let lock = try await lockVolume()
        if let former = try await metadata.get(key, as: WALOwnership.self)?.value {
            // Records are told from those of an earlier run by their epoch alone, so each run needs one of its own.
            guard former.epoch < writer.epoch else {
                throw LogError(
                    .fenced,
                    "broker \(writer.broker) runs or ran with epoch \(former.epoch), not older than \(writer.epoch) here; register it anew, or stop the other one"
                )
            }
            if former.state != .recovered { try await recoverOwn() }
        }
        var own = WALOwnership(broker: writer.broker, epoch: writer.epoch, state: .open)
        if volume == nil { own.isInObjects = true }
        let uploader = Uploader(settings: settings, clock: environment.clock)
        let wal = try await makeWAL(own, uploader, lock)
        let taken = try await metadata.update(key, as: WALOwnership.self) { [writer] former throws(LogError) in
            guard let former else { return own }
            guard former == own || former.state == .recovered && former.epoch <= writer.epoch else {
                throw LogError(.fenced, "the write-ahead log of broker \(writer.broker) is held by epoch \(former.epoch)")
            }
            return own
        }
        guard taken == own else {
            throw LogError(.fenced, "the write-ahead log of broker \(writer.broker) was taken by another run")
        }
        let parts = EngineParts(
            settings: settings, environment: environment, meters: meters, store: store, metadata: metadata, wal: wal,
            ownership: .value(key, SharedMetadata.encode(own)), reader: reader, putter: putter, uploader: uploader,
            upkeep: upkeep)
        uploader.begin(parts)
        state.withLock { $0.parts = parts }
        maintain()
        recoverLeft()
    }

    // MARK: The log of this run

    /// Waits a while for a former run that is ending. nil where the log needs no volume.
    private func lockVolume() async throws(LogError) -> (any DiskFile)? {
        guard let volume else { return nil }
        let folder = RingFolder(volume, of: writer.broker)
        let worker = environment.workers.makeWorker(named: "wal-lock")
        let deadline = environment.clock.now() + settings.openTimeout
        while true {
            do throws(LogError) {
                return try await worker.run { () throws(LogError) in try folder.lock() }
            } catch {
                guard error.code == .notAvailable, environment.clock.now() < deadline else { throw error }
            }
            try? await environment.clock.sleep(for: .milliseconds(50))
        }
    }

    private func makeWAL(
        _ own: WALOwnership, _ uploader: Uploader, _ lock: (any DiskFile)?
    ) async throws(LogError) -> any WALWriter {
        let key = SharedKey.wal(writer.broker)
        let pressure: @Sendable () -> Void = { [weak uploader] in uploader?.kick() }
        let takenOver: @Sendable () async -> LogError? = { [metadata] in
            do throws(LogError) {
                try await metadata.checkUnchanged(key, SharedMetadata.encode(own))
                return nil
            } catch { return error.code == .fenced ? error : nil }
        }
        guard let volume else {
            return ObjectWAL(
                store: store, brokerID: writer.broker, epoch: writer.epoch, environment: environment, settings: settings,
                leaseHolds: leaseHolds, pressure: pressure, takenOver: takenOver,
                noteTrim: { [metadata] number throws(LogError) in try await metadata.noteTrim(number, of: own) })
        }
        let folder = RingFolder(volume, of: writer.broker)
        let needed = Set(
            try await metadata.leftWALs().map(\.record.value.writer).filter { $0.broker == writer.broker }.map(\.epoch))
        let worker = environment.workers.makeWorker(named: "wal-open")
        return try await worker.run { [writer, environment, settings, leaseHolds] () throws(LogError) in
            do throws(DiskError) { try folder.removeRings(except: needed) } catch {
                throw LogError(
                    .storageFailure, "former write-ahead logs of broker \(writer.broker) cannot be removed", cause: error)
            }
            return try WriteAheadLog.create(
                disk: folder.disk, path: folder.path(of: writer.epoch), brokerID: writer.broker, epoch: writer.epoch,
                environment: environment, settings: settings, leaseHolds: leaseHolds, pressure: pressure, takenOver: takenOver,
                lock: lock)
        }
    }

    // MARK: Ended runs

    func recovery(ownership: Transaction.Condition?) -> WALRecovery {
        WALRecovery(
            metadata: metadata, putter: putter, store: store, settings: settings, clock: environment.clock,
            worker: environment.workers.makeWorker(named: "wal-recovery"), ownership: ownership, logger: logger)
    }

    private func recoverOwn() async throws(LogError) {
        var delay: Duration = .milliseconds(100)
        while true {
            do throws(LogError) {
                let former: WALVolume? = if let volume { volume } else { await volumeOf(writer.broker) }
                let left = try await recovery(ownership: nil).recover(writer.broker, upTo: writer.epoch, volume: former)
                return report(left, of: writer.broker)
            } catch {
                guard error.code == .notAvailable, leaseHolds() else { throw error }
                logger.warning(
                    "The write-ahead log of this broker's former run cannot be replayed yet; it is tried again",
                    metadata: ["error": "\(error)"])
            }
            try? await environment.clock.sleep(for: delay)
            delay = min(delay * 2, .seconds(5))
        }
    }

    /// Says which streams stay offline, and why.
    func report(_ left: [StreamID: LogError], of broker: BrokerID) {
        for (stream, reason) in left.sorted(by: { $0.key < $1.key }) {
            logger.error(
                "A partition stays offline: its last batches cannot be brought from a write-ahead log; it is tried again",
                metadata: ["stream": "\(stream)", "broker": "\(broker)", "error": "\(reason)"])
        }
    }

    /// Tries what ended runs have left again until nothing is left that is this broker's to bring. Does not wait.
    func recoverLeft() {
        let starts = state.withLock { state in
            guard !state.isRecoveringLeft else { return false }
            state.isRecoveringLeft = true
            return true
        }
        guard starts else { return }
        Task { [weak self, clock = environment.clock] in
            var delay: Duration = .milliseconds(200)
            while let self, let parts = try? self.running() {
                if (try? await self.recoverLeft(parts)) == true { break }
                try? await clock.sleep(for: delay)
                delay = min(delay * 2, .seconds(30))
            }
            self?.state.withLock { $0.isRecoveringLeft = false }
        }
    }

    /// - Returns: Whether nothing is left for this broker to bring.
    private func recoverLeft(_ parts: EngineParts) async throws(LogError) -> Bool {
        var isDone = true
        for (key, left) in try await metadata.leftWALs() {
            let dead = left.value.writer
            await recoveryGates.enter(dead.broker)
            defer { recoveryGates.leave(dead.broker) }
            do throws(LogError) {
                guard let mine = try await metadata.claimLeftWAL(key) else { continue }
                let volume = await volumeOf(dead.broker)
                let rest = try await recovery(ownership: parts.ownership).recoverLeft(mine, key: key, volume: volume)
                for reason in rest.values {
                    isDone = false
                    upkeep.failed(
                        .recovery, "What the write-ahead log of broker \(dead.broker) has left cannot be brought yet", reason)
                }
                if rest.isEmpty, mine.isInObjects != true, let volume {
                    let path = RingFolder(volume, of: dead.broker).path(of: dead.epoch)
                    try? await environment.workers.makeWorker(named: "wal-remove").run { () throws(DiskError) in
                        try volume.disk.remove(path)
                    }
                }
            } catch {
                isDone = false
                upkeep.failed(.recovery, "What the write-ahead log of broker \(dead.broker) has left cannot be brought yet", error)
            }
        }
        return isDone
    }
}

extension RingFolder {
    init(_ volume: SharedStorageEngine.WALVolume, of broker: BrokerID) {
        self.init(disk: volume.disk, base: volume.path, broker: broker)
    }
}
