//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation

extension EnvironmentCapture {
    /// Reads the machine from `/proc`, `/etc` and `statfs`. What cannot be found is said to be unknown.
    package static func probe(version: String, dataDirectory: String, commandLine: [String]) -> EnvironmentCapture {
        let cpuInfo = text("/proc/cpuinfo") ?? ""
        let model = field("model name", in: cpuInfo) ?? "unknown"
        let memory = field("MemTotal", in: text("/proc/meminfo") ?? "").flatMap { Int64($0.split(separator: " ")[0]) } ?? 0
        let release = field("PRETTY_NAME", in: (text("/etc/os-release") ?? "").replacingOccurrences(of: "=", with: ":"))
        let mount = MountPoint.of(dataDirectory)
        return EnvironmentCapture(
            ninefold: version, host: ProcessInfo.processInfo.hostName, cpu: model,
            cores: ProcessInfo.processInfo.activeProcessorCount, memoryBytes: memory * 1024,
            kernel: (text("/proc/sys/kernel/osrelease") ?? "unknown").trimmingCharacters(in: .whitespacesAndNewlines),
            operatingSystem: release?.trimmingCharacters(in: CharacterSet(charactersIn: "\" ")) ?? "unknown",
            swift: swiftVersion, dataDirectory: dataDirectory, fileSystem: mount?.type ?? "unknown",
            disk: mount?.device ?? "unknown",
            commandLine: commandLine,
            remark: "Brokers, load generator and disks share this machine: bytes and requests carry over, times do not.")
    }

    private static var swiftVersion: String {
        #if swift(>=6.3)
            "6.3"
        #elseif swift(>=6.2)
            "6.2"
        #else
            "6.1"
        #endif
    }

    private static func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }

    private static func field(_ name: String, in text: String) -> String? {
        for line in text.split(separator: "\n") where line.hasPrefix(name) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            return line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        return nil
    }
}
