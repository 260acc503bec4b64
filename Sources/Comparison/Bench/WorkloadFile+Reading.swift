//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import Yams

extension WorkloadFile {
    /// Reads the file at `path`.
    package init(path: String) throws(WorkloadFileError) {
        let data: Data
        do { data = try Data(contentsOf: URL(fileURLWithPath: path)) } catch {
            throw WorkloadFileError(path, "the file cannot be read; check the path and its permissions")
        }
        guard let text = String(data: data, encoding: .utf8) else { throw WorkloadFileError(path, "not text in UTF-8") }
        try self.init(yaml: text, path: path)
    }

    /// Reads `yaml`; `path` is for messages.
    package init(yaml: String, path: String = "workload") throws(WorkloadFileError) {
        let root: Node?
        do { root = try Yams.compose(yaml: yaml) } catch { throw WorkloadFileError(path, reading: yaml, failed: error) }
        guard let root else { throw WorkloadFileError(path, "the file is empty") }
        guard case .mapping(let mapping) = root else {
            throw WorkloadFileError(path, line: root.mark?.line, "a workload is a list of `key: value` lines")
        }
        self.init()
        name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        for (key, value) in mapping {
            let line = key.mark?.line
            guard let name = key.string else { throw WorkloadFileError(path, line: line, "a key is a word") }
            try set(Entry(path: path, key: name, line: line, value: value))
        }
        if producersPerTopic == 0, producersPerTopicList.isEmpty, consumerPerSubscription == 0 {
            throw WorkloadFileError(path, "neither producers nor consumers: set producersPerTopic or consumerPerSubscription")
        }
    }

    private mutating func set(_ entry: Entry) throws(WorkloadFileError) {
        switch entry.key {
        case "name": name = try entry.text()
        case "topics": topics = try entry.integer(1...100_000)
        case "partitionsPerTopic": partitionsPerTopic = try entry.integer(1...1_000_000)
        case "partitionsPerTopicList": partitionsPerTopicList = try entry.integers(1...1_000_000)
        case "keyDistributor":
            let text = try entry.text()
            keyDistributor = KeyDistributor(rawValue: text) ?? .noKey
            if KeyDistributor(rawValue: text) == nil {
                entry.warn(&warnings, "\(text) is not known, \(KeyDistributor.noKey.rawValue) is taken")
            }
        case "messageSize": messageSize = try entry.integer(RecordIdentity.size...(16 << 20))
        case "payloadFile":
            payloadFile = try entry.text()
            entry.warn(&warnings, "values are made, not read: a file's bytes would not tell its records apart")
        case "useRandomizedPayloads": useRandomizedPayloads = try entry.boolean()
        case "randomBytesRatio": randomBytesRatio = try entry.number(0...1)
        case "randomizedPayloadPoolSize": randomizedPayloadPoolSize = try entry.integer(0...1_000_000)
        case "subscriptionsPerTopic": subscriptionsPerTopic = try entry.integer(0...1000)
        case "consumerPerSubscription": consumerPerSubscription = try entry.integer(0...10_000)
        case "producersPerTopic": producersPerTopic = try entry.integer(0...10_000)
        case "producersPerTopicList": producersPerTopicList = try entry.integers(0...10_000)
        case "producerRate": producerRate = try entry.number(0...1e9)
        case "producerRateList": producerRateList = try entry.timedRates()
        case "consumerBacklogSizeGB": consumerBacklogSizeGB = try entry.number(0...1e6)
        case "backlogDrainRatio": backlogDrainRatio = try entry.number(0...1)
        case "testDurationMinutes": testDurationMinutes = try entry.number(0.001...1e6)
        case "warmupDurationMinutes": warmupDurationMinutes = try entry.number(0...1e6)
        case "randomTopicNames": randomTopicNames = try entry.boolean()
        case "logIntervalMillis", "sampleRateMillis": intervalMilliseconds = try entry.integer(100...3_600_000)
        case "existingTopicList": existingTopicList = try entry.texts()
        case "existingProduceTopicList": existingProduceTopicList = try entry.texts()
        case "existingConsumeTopicList": existingConsumeTopicList = try entry.texts()
        default: entry.warn(&warnings, "unknown key \(entry.key), not used")
        }
    }
}

/// One key with its value, and where it stands.
private struct Entry {
    var path: String
    var key: String
    var line: Int?
    var value: Node

    func warn(_ warnings: inout [String], _ text: String) {
        warnings.append(WorkloadFileError(path, line: line, "\(text)").description)
    }

    private func wrong(_ node: Node, _ wanted: String) -> WorkloadFileError {
        let given = node.string.map { "\"\($0)\"" } ?? "a list or a block"
        return WorkloadFileError(path, line: node.mark?.line ?? line, "\(key) is \(given), where \(wanted) is wanted")
    }

    func text() throws(WorkloadFileError) -> String { try text(value) }

    private func text(_ node: Node) throws(WorkloadFileError) -> String {
        guard let text = node.string, !text.isEmpty else { throw wrong(node, "a text") }
        return text
    }

    func boolean() throws(WorkloadFileError) -> Bool {
        guard let boolean = value.bool else { throw wrong(value, "true or false") }
        return boolean
    }

    func integer(_ range: ClosedRange<Int>) throws(WorkloadFileError) -> Int { try integer(value, range) }

    private func integer(_ node: Node, _ range: ClosedRange<Int>) throws(WorkloadFileError) -> Int {
        guard let text = node.string, let integer = Int(text.filter { $0 != "_" }), range.contains(integer) else {
            throw wrong(node, "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return integer
    }

    func number(_ range: ClosedRange<Double>) throws(WorkloadFileError) -> Double {
        guard let text = value.string, let number = Double(text.filter { $0 != "_" }), range.contains(number) else {
            throw wrong(value, "a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private func list() throws(WorkloadFileError) -> [Node] {
        guard case .sequence(let sequence) = value else { throw wrong(value, "a list") }
        return Array(sequence)
    }

    func integers(_ range: ClosedRange<Int>) throws(WorkloadFileError) -> [Int] {
        try list().map { (node) throws(WorkloadFileError) in try integer(node, range) }
    }

    func texts() throws(WorkloadFileError) -> [String] {
        try list().map { (node) throws(WorkloadFileError) in try text(node) }
    }

    func timedRates() throws(WorkloadFileError) -> [WorkloadFile.TimedRate] {
        try list().map { (row) throws(WorkloadFileError) in
            guard case .sequence(let fields) = row, fields.count == 3 else { throw wrong(row, "[hour, minute, rate]") }
            return WorkloadFile.TimedRate(
                hour: try integer(fields[0], 0...23), minute: try integer(fields[1], 0...59),
                recordsPerSecond: Double(try integer(fields[2], 1...1_000_000_000)))
        }
    }
}

extension WorkloadFileError {
    fileprivate init(_ path: String, reading yaml: String, failed error: any Error) {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _), .composer(_, let problem, let mark, _):
            self.init(path, line: mark.line, "not YAML: \(problem)")
        case .duplicatedKeysInMapping(let keys, _):
            let key = keys.first ?? ""
            let lines = yaml.split(separator: "\n", omittingEmptySubsequences: false).enumerated().filter {
                $0.element.hasPrefix(key + ":")
            }
            self.init(path, line: lines.dropFirst().first.map { $0.offset + 1 }, "\(key) is set twice")
        case .reader(let problem, _, _, _): self.init(path, "not YAML: \(problem)")
        default: self.init(path, "not YAML")
        }
    }
}
