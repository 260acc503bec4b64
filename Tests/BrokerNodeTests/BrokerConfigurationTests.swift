//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerNode
import LogModel
import Testing
import TieredOffload

@Suite struct BrokerConfigurationTests {
    private func configuration(_ changes: [String: String] = [:]) throws(ConfigurationError) -> BrokerConfiguration {
        try BrokerConfiguration(
            ConfigurationValues(["node.id": "4", "log.dirs": "/data"].merging(changes) { $1 }), alsoKnown: ["num.partitions"])
    }

    @Test func defaultsFollowFromTheDirectory() throws {
        let configuration = try configuration()
        #expect(configuration.nodeID == BrokerID(4))
        #expect(configuration.listener == Listener(name: "PLAINTEXT", host: "127.0.0.1", port: 9092))
        #expect(configuration.metadataStoreURL == "sqlite:///data/metadata.db")
        #expect(configuration.objectStoreURL == "file:///data/objects")
        #expect(configuration.storageMode == "isr")
        #expect(configuration.sessionTimeout == .seconds(9))
        #expect(configuration.unknownKeys.isEmpty)
    }

    @Test func cachesAndBuffersAreSharesOfTheMemoryBudgetUnlessGiven() throws {
        for budget in [nil, 64 << 20, 4 << 30] as [Int64?] {
            let configuration = try configuration(budget.map { ["memory.budget.bytes": "\($0)"] } ?? [:])
            let bytes = budget ?? 512 << 20
            #expect(configuration.memory.bytes == bytes)
            let shares =
                Int64(configuration.queuedMaxRequestBytes + configuration.tailCacheBytes + configuration.chunkCacheBytes)
                + configuration.logCacheBytes + configuration.blockCacheBytes + 2 * configuration.memory.indexes
            // What remains is for appends of requests answered already, and for answers.
            #expect(shares > bytes / 2 && shares <= bytes - bytes / 8)
        }
        let given = try configuration(["queued.max.request.bytes": "300000000", "log.cache.bytes": "2000000"])
        #expect(given.queuedMaxRequestBytes == 300_000_000 && given.logCacheBytes == 2_000_000)
    }

    @Test func theWriteAheadLogLiesOnAVolumeOrInObjects() throws {
        let standard = try configuration()
        #expect(!standard.walIsInObjects && standard.walVolume == nil)
        let ring = try configuration(["wal.path": "replicated:2:/fast"])
        #expect(!ring.walIsInObjects && ring.walVolume == "replicated:2:/fast")
        let objects = try configuration(["wal.path": "object:", "wal.object.linger.ms": "100", "wal.object.batch.bytes": "65536"])
        #expect(objects.walIsInObjects && objects.walVolume == nil)
        #expect(objects.walObjectLinger == .milliseconds(100) && objects.walObjectBatchBytes == 65_536)
        #expect(objects.unknownKeys.isEmpty)
    }

    @Test func transfersToTheTierAreLimitedWhereThatIsSaid() throws {
        let standard = try configuration()
        #expect(standard.remoteCopyLimit.bytesPerSecond == nil && standard.remoteFetchLimit.windows == 11)
        #expect(standard.remoteChunkCompression == nil && !standard.followerFetchesFromTierEnd && !standard.closesByUploading)
        let given = try configuration([
            "remote.log.manager.copy.max.bytes.per.second": "1000", "remote.log.manager.copy.quota.window.num": "3",
            "remote.log.manager.fetch.max.bytes.per.second": "2000",
            "remote.log.manager.fetch.quota.window.size.seconds": "5", "remote.log.chunk.compression.type": "zstd",
            "follower.fetch.last.tiered.offset.enable": "true", "stream.close.strategy": "upload-first",
        ])
        #expect(given.remoteCopyLimit.bytesPerSecond == 1_000 && given.remoteCopyLimit.windows == 3)
        #expect(given.remoteFetchLimit.bytesPerSecond == 2_000 && given.remoteFetchLimit.windowLength == .seconds(5))
        #expect(given.remoteChunkCompression == .zstd && given.followerFetchesFromTierEnd && given.closesByUploading)
        #expect(given.unknownKeys.isEmpty)
    }

    @Test func anUnknownKeyIsNamedNotRefused() throws {
        let configuration = try configuration(["log.dri": "/data", "num.partitions": "3"])
        #expect(configuration.unknownKeys == ["log.dri"])
    }

    @Test func copiesOfTheVolumeMayBeGivenEitherWay() throws {
        #expect(try configuration(["volume.copies": "3"]).logDirectory == "replicated:3:/data")
        #expect(
            try configuration(["log.dirs": "/a, /b", "volume.copies": "2"]).logDirectories == [
                "replicated:2:/a", "replicated:2:/b",
            ])
        let named = try configuration(["log.dirs": "replicated:2:/a:b"])
        #expect(named.logDirectory == "replicated:2:/a:b")
        #expect(BrokerConfiguration.plainDirectory(named.logDirectory) == "/a:b")
        #expect(throws: ConfigurationError.self) { try configuration(["volume.copies": "3", "log.dirs": "replicated:2:/a"]) }
    }

    @Test(arguments: [
        ("node.id", "x", "whole number"), ("storage.mode", "fast", "isr, tiered, shared"),
        ("listeners", "9092", "NAME://HOST:PORT"),
        ("listeners", "SASL_SSL://h:1", "PLAINTEXT"), ("listeners", "PLAINTEXT://a:1,PLAINTEXT://b:2", "one listener"),
        ("broker.session.timeout.ms", "199", "from 200"), ("wal.capacity.bytes", "1", "65536"),
        ("object.merge.fan.in", "1", "from 2"),
        ("log.dirs", "/a,/b,/a", "different directories"), ("log.dirs", ",", "different directories"),
        ("log.dirs", "replicated:0:/a", "replicated:N:DIR"), ("wal.path", "replicated:3", "replicated:N:DIR"),
        ("wal.path", "replicated:3", "object:"), ("stream.close.strategy", "never", "close-first, upload-first"),
        ("remote.log.manager.copy.max.bytes.per.second", "0", "from 1"), ("remote.log.chunk.compression.type", "lz4", "none, zstd"),
        ("wal.upload.threshold.bytes", "268435456", "at most half"), ("volume.copies", "10", "from 1 up to 9"),
    ])
    func aBadValueNamesKeyValueAndWhatIsAllowed(key: String, value: String, allowed: String) {
        let error = #expect(throws: ConfigurationError.self) { try configuration([key: value]) }
        let text = error?.description ?? ""
        #expect(text.contains(key) && text.contains(value) && text.contains(allowed), "\(text)")
    }

    @Test(arguments: ["node.id", "log.dirs"]) func whatIsMissingIsNamed(key: String) {
        var values = ["node.id": "4", "log.dirs": "/data"]
        values[key] = nil
        let error = #expect(throws: ConfigurationError.self) {
            try BrokerConfiguration(ConfigurationValues(values), alsoKnown: [])
        }
        #expect(error?.description.hasPrefix("\(key) is missing") == true)
    }

    @Test func listenersTakeNamesAddressesAndAnyPort() throws {
        #expect(try Listener(parsing: "plaintext://[::1]:0", key: "listeners") == Listener(name: "PLAINTEXT", host: "::1", port: 0))
        for text in ["PLAINTEXT://h", "PLAINTEXT://h:-1", "PLAINTEXT://h:65536", "://h:1", "h:1", ""] {
            #expect(throws: ConfigurationError.self) { try Listener(parsing: text, key: "listeners") }
        }
    }

    @Test func valuesAreReadByType() throws {
        var values = ConfigurationValues(["yes": "TRUE", "no": "false", "maybe": "1", "ms": "250"])
        #expect(try values.boolean("yes", default: false))
        #expect(try !values.boolean("no", default: true))
        #expect(try values.boolean("absent", default: true))
        #expect(throws: ConfigurationError(key: "maybe", value: "1", allowed: "true or false")) {
            try values.boolean("maybe", default: true)
        }
        #expect(try values.duration("ms", default: 1) == .milliseconds(250))
        #expect(values.unknownKeys.isEmpty)
    }
}
