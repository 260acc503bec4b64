// swift-tools-version: 6.1
import PackageDescription

// The arrows: a target may import what stands in its `dependencies`, nothing else.
// `Scripts/check-arrows.py` holds this list against ARCHITECTURE.md's table, and the build runs with
// `--explicit-target-dependency-import-check error`.

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let histogram: Target.Dependency = .product(name: "Histogram", package: "hdrhistogram-swift")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")

func module(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Sources/\(name)", exclude: ["README.md"],
        resources: resources, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: dependencies, path: "Tests/\(name)Tests", resources: resources,
        swiftSettings: settings)
}

let package = Package(
    name: "ninefold",
    products: [
        .executable(name: "ninefold", targets: ["ninefold"]),
        // The plug: the log interface, its conformance suite and every engine, usable without the broker.
        .library(name: "LogEngine", targets: ["LogEngine", "LogModel"]),
        .library(name: "LogEngineTesting", targets: ["LogEngineTesting"]),
        .library(name: "InMemoryLog", targets: ["InMemoryLog"]),
        .library(name: "ReplicatedLog", targets: ["ReplicatedLog"]),
        .library(name: "TieredOffload", targets: ["TieredOffload"]),
        .library(name: "SharedStorage", targets: ["SharedStorage"]),
        // For `Benchmarks/`, a package of its own.
        .library(name: "MicroBenchmarks", targets: ["MicroBenchmarks"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // System libraries and C
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CLz4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(name: "CSnappy", providers: [.apt(["libsnappy-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .target(name: "CCurlShim", dependencies: ["CCurl"]),
        .target(name: "CChecksum"),
        .target(name: "CSystemShim"),

        // Ground
        module("LogModel", ["CChecksum", nioCore]),
        module("RuntimeEnvironment", ["CSystemShim", "Metering", nioCore]),
        module("Metering", [], resources: [.embedInCode("Prices")]),

        module("RecordCompression", ["CZlib", "CLz4", "CSnappy", "CZstd", "LogModel", nioCore]),

        // Contracts
        module("LogEngine", ["LogModel", "RuntimeEnvironment", "Metering", nioCore]),
        module("KafkaProtocol", ["LogModel", nioCore]),

        // Stores
        module("LogSegments", ["RecordCompression", "LogModel", "RuntimeEnvironment", "Metering", nioCore, logging]),
        module(
            "ObjectStore",
            ["CCurl", "CCurlShim", "RuntimeEnvironment", "Metering", nioCore, crypto, logging]),
        module("ClusterMetadata", ["LogModel", "RuntimeEnvironment", "Metering", grdb, logging]),

        // Engines
        module("InMemoryLog", ["RecordCompression", "LogEngine", "LogModel", "RuntimeEnvironment", nioCore]),
        module(
            "ReplicatedLog",
            ["LogEngine", "LogSegments", "ClusterMetadata", "LogModel", "RuntimeEnvironment", "Metering", nioCore, logging]),
        module(
            "TieredOffload",
            [
                "CZstd", "RecordCompression", "LogEngine", "LogSegments", "ObjectStore", "ClusterMetadata", "LogModel",
                "RuntimeEnvironment", "Metering",
                nioCore, logging,
            ]),
        module(
            "SharedStorage",
            [
                "RecordCompression", "LogEngine", "ObjectStore", "ClusterMetadata", "LogModel", "RuntimeEnvironment", "Metering",
                nioCore, logging, deque,
            ]),

        // Edges
        module(
            "KafkaNetwork",
            ["KafkaProtocol", "LogModel", "RuntimeEnvironment", "Metering", nioCore, nioPosix, logging]),
        module(
            "BrokerFrontend",
            ["KafkaProtocol", "LogEngine", "ClusterMetadata", "LogModel", "RuntimeEnvironment", "Metering", nioCore, logging]),
        module(
            "Comparison",
            [
                "KafkaNetwork", "KafkaProtocol", "ObjectStore", "Metering", "LogModel", "RuntimeEnvironment", nioCore, nioPosix,
                nioHTTP1, logging, histogram, yams,
            ], resources: [.embedInCode("Resources")]),

        // Assembly
        module(
            "BrokerNode",
            [
                "LogEngine", "LogSegments", "ReplicatedLog", "TieredOffload", "SharedStorage", "InMemoryLog", "ObjectStore",
                "ClusterMetadata", "KafkaProtocol", "KafkaNetwork", "BrokerFrontend", "LogModel", "RuntimeEnvironment", "Metering",
                nioCore, nioPosix, nioHTTP1, logging,
            ]),
        .executableTarget(
            name: "ninefold",
            dependencies: [
                "BrokerNode", "Comparison", "Metering", "RuntimeEnvironment", argumentParser, logging,
            ], exclude: ["README.md"], swiftSettings: settings),

        // Test support
        .target(name: "CTaskHook"),
        module("SimulationKit", ["CTaskHook", "RuntimeEnvironment", "ObjectStore", "Metering", nioCore]),
        module(
            "ClusterSimulation",
            [
                "BrokerNode", "SharedStorage", "KafkaNetwork", "KafkaProtocol", "ClusterMetadata", "ObjectStore", "LogModel",
                "RuntimeEnvironment",
                "SimulationKit", "Metering", nioCore, logging,
            ]),
        module("LogEngineTesting", ["LogEngine", "LogModel", "RuntimeEnvironment", nioCore]),
        module(
            "Fuzzing",
            [
                "BrokerNode", "Comparison", "KafkaProtocol", "RecordCompression", "LogModel", "LogSegments", "LogEngine",
                "SharedStorage",
                "TieredOffload",
                "RuntimeEnvironment", "SimulationKit", nioCore,
            ]),

        // Micro-benchmarks: in no program, since the counter puts its own malloc before the C library's.
        .target(name: "CCallCounter"),
        module(
            "MicroBenchmarks",
            [
                "CCallCounter", "SharedStorage", "LogSegments", "ObjectStore", "KafkaNetwork", "KafkaProtocol", "LogEngine",
                "LogModel",
                "RuntimeEnvironment", "SimulationKit", "Metering", nioCore,
            ]),

        // Tests
        tests("LogModel", ["LogModel", nioCore]),
        tests("RecordCompression", ["RecordCompression", "CZlib", "CLz4", "CSnappy", "CZstd", "LogModel", nioCore]),
        tests("RuntimeEnvironment", ["RuntimeEnvironment", "SimulationKit", "Metering", nioCore]),
        tests("SimulationKit", ["SimulationKit", "RuntimeEnvironment", "ObjectStore", nioCore]),
        tests("ClusterSimulation", ["ClusterSimulation", "SimulationKit"]),
        tests(
            "Fuzzing",
            [
                "Fuzzing", "KafkaProtocol", "LogModel", "LogSegments", "LogEngine", "SharedStorage",
                "TieredOffload", "RuntimeEnvironment", "SimulationKit", nioCore,
            ]),
        tests("LogEngine", ["LogEngine", "LogModel", nioCore]),
        tests(
            "LogEngineTesting",
            ["LogEngineTesting", "InMemoryLog", "LogEngine", "LogModel", "RuntimeEnvironment", nioCore]),
        tests("Metering", ["Metering"]),
        tests("KafkaProtocol", ["KafkaProtocol", "LogModel", nioCore]),
        tests("ObjectStore", ["ObjectStore", "RuntimeEnvironment", "SimulationKit", "Metering", nioCore, crypto]),
        tests("ClusterMetadata", ["ClusterMetadata", "LogModel", "RuntimeEnvironment", "SimulationKit", logging]),
        tests("LogSegments", ["LogSegments", "LogModel", "RuntimeEnvironment", "SimulationKit", "Metering", nioCore, crypto]),
        tests("InMemoryLog", ["InMemoryLog", "LogEngine", "LogEngineTesting", "LogModel", "RuntimeEnvironment", nioCore]),
        tests(
            "ReplicatedLog",
            [
                "ReplicatedLog", "LogEngine", "LogEngineTesting", "LogSegments", "ClusterMetadata", "LogModel",
                "RuntimeEnvironment",
                "SimulationKit", "Metering", nioCore, logging,
            ]),
        tests(
            "TieredOffload",
            [
                "TieredOffload", "ReplicatedLog", "LogEngine", "LogEngineTesting", "LogSegments", "ObjectStore", "ClusterMetadata",
                "LogModel", "RuntimeEnvironment", "SimulationKit", "Metering", nioCore, logging,
            ]),
        tests(
            "SharedStorage",
            [
                "SharedStorage", "LogEngine", "LogEngineTesting", "ObjectStore", "ClusterMetadata", "LogModel",
                "RuntimeEnvironment",
                "SimulationKit", "Metering", nioCore, logging,
            ]),
        tests("KafkaNetwork", ["KafkaNetwork", "KafkaProtocol", "LogModel", "RuntimeEnvironment", nioCore, nioPosix, logging]),
        tests(
            "BrokerFrontend",
            [
                "BrokerFrontend", "KafkaProtocol", "LogEngine", "InMemoryLog", "ClusterMetadata", "LogModel", "RuntimeEnvironment",
                "Metering", "SimulationKit", nioCore, logging,
            ]),
        tests(
            "Comparison",
            [
                "Comparison", "Metering", "KafkaNetwork", "KafkaProtocol", "LogModel", "RuntimeEnvironment", nioCore, nioPosix,
                logging,
            ]),
        tests("MicroBenchmarks", ["MicroBenchmarks"]),
        tests(
            "BrokerNode",
            [
                "BrokerNode", "TieredOffload", "ReplicatedLog", "KafkaNetwork", "KafkaProtocol", "ClusterMetadata", "ObjectStore",
                "LogEngine", "LogModel",
                "RuntimeEnvironment", "Metering", nioCore, nioPosix,
            ]),
    ]
)
