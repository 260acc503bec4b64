//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerNode
import Comparison
import Fuzzing
import SimulationKit
import Testing

/// The two text files that users write. Their parsers lie too high for the libFuzzer build; counted mutations are all they get:
/// `NINEFOLD_FUZZ_RUNS=4000000` makes it as many of each seed.
@Suite struct TextFuzzTests {
    private static let mutations = Mutator.count(3_000)

    @Test(arguments: Seeds.walked(1...2))
    func propertiesAreReadOrRefusedWithALine(_ seed: UInt64) throws {
        let corpus = try Corpus.read("properties").map(\.bytes)
        let mutator = Mutator(seed: seed, corpus: corpus)
        for bytes in chain(corpus, mutator, count: Self.mutations) {
            let text = String(decoding: bytes, as: UTF8.self)
            // At the most: a carriage return and a line feed may be one end.
            let lines = 1 + text.unicodeScalars.count { $0 == "\n" || $0 == "\r" }
            do throws(PropertiesFile.SyntaxError) {
                let file = try PropertiesFile(parsing: text)
                #expect(file.entries.allSatisfy { !$0.key.isEmpty && (1...lines).contains($0.line) })
                // Written plainly, with what has a meaning escaped, it reads as the same.
                let again = try PropertiesFile(parsing: file.entries.map { Self.plain($0) }.joined(separator: "\n"))
                // Compared by code points: text that looks alike is alike to Swift.
                #expect(again.entries.map { Array($0.key.unicodeScalars) } == file.entries.map { Array($0.key.unicodeScalars) })
                #expect(again.entries.map { Array($0.value.unicodeScalars) } == file.entries.map { Array($0.value.unicodeScalars) })
                // A setting is used or refused by name; nothing else.
                do throws(ConfigurationError) { _ = try BrokerConfiguration(ConfigurationValues(file), alsoKnown: []) } catch {
                    #expect(!error.description.isEmpty)
                }
            } catch { #expect((1...lines).contains(error.line)) }
        }
    }

    private static func plain(_ entry: PropertiesFile.Entry) -> String {
        func escaped(_ text: String) -> String {
            text.unicodeScalars.map { scalar in
                switch scalar {
                case "\t": "\\t"
                case "\n": "\\n"
                case "\r": "\\r"
                case "\u{0C}": "\\f"
                case "\\", "=", ":", " ", "#", "!": "\\\(scalar)"
                default: String(Character(scalar))
                }
            }.joined()
        }
        return "\(escaped(entry.key))=\(escaped(entry.value))"
    }

    @Test(arguments: Seeds.walked(1...2))
    func workloadsAreReadOrRefusedWithAReason(_ seed: UInt64) throws {
        let corpus = try Corpus.read("workload").map(\.bytes)
        let mutator = Mutator(seed: seed, corpus: corpus)
        for bytes in chain(corpus, mutator, count: Self.mutations) {
            do throws(WorkloadFileError) {
                let workload = try WorkloadFile(yaml: String(decoding: bytes, as: UTF8.self))
                #expect(workload.topics >= 1 && workload.partitionsPerTopic >= 1 && workload.messageSize >= 1)
                #expect(workload.producerRate.isFinite && workload.testDurationMinutes > 0)
            } catch { #expect(!error.description.isEmpty) }
        }
    }
}
