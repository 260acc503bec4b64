// swift-tools-version: 6.1
import PackageDescription

// A package of its own, so that the program's build does not pay for it. Built into the program's own `.build`
// (`make bench-micro`), where everything below it is compiled already.

let package = Package(
    name: "ninefold-benchmarks",
    dependencies: [
        .package(name: "ninefold", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    ],
    targets: [
        .executableTarget(
            name: "ninefold-benchmarks",
            dependencies: [
                .product(name: "MicroBenchmarks", package: "ninefold"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: [
                .swiftLanguageMode(.v6), .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("MemberImportVisibility"), .enableUpcomingFeature("InternalImportsByDefault"),
            ])
    ]
)
