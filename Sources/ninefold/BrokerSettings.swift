//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ArgumentParser
internal import BrokerNode
internal import Foundation

/// A broker's settings as the command line gives them: a file, and what is laid over it.
enum BrokerSettings {
    static func read(_ path: String, overrides: [String]) throws -> [String: String] {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw CommandFailure("\(path): cannot be read; give a server.properties file")
        }
        let file: PropertiesFile
        do { file = try PropertiesFile(parsing: text) } catch { throw CommandFailure("\(path) \(error)") }
        return ConfigurationValues(file).all.merging(try pairs(overrides, option: "--override")) { $1 }
    }

    static func pairs(_ texts: [String], option: String) throws -> [String: String] {
        var pairs: [String: String] = [:]
        for text in texts {
            guard let separator = text.firstIndex(of: "=") else { throw ValidationError("\(option) \(text): wants KEY=VALUE") }
            pairs[String(text[..<separator])] = String(text[text.index(after: separator)...])
        }
        return pairs
    }
}
