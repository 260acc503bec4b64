//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// One figure, measured several times.
package struct Spread: Codable, Sendable, Hashable {
    package var unit: String
    /// In the order they were measured.
    package var values: [Double]

    package init(unit: String, values: [Double]) {
        self.unit = unit
        self.values = values
    }

    /// Of an even number of values the mean of the middle two; nil of none.
    package var median: Double? {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    private enum Key: String, CodingKey { case unit, values, median, min, max }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        unit = try container.decode(String.self, forKey: .unit)
        values = try container.decode([Double].self, forKey: .values)
    }

    /// With median and ends, for readers that do not reckon.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(unit, forKey: .unit)
        try container.encode(values, forKey: .values)
        try container.encodeIfPresent(median, forKey: .median)
        try container.encodeIfPresent(values.min(), forKey: .min)
        try container.encodeIfPresent(values.max(), forKey: .max)
    }
}

/// Figures by name, each with its unit; added to run by run.
package struct Figures: Codable, Sendable, Hashable {
    package private(set) var spreads: [String: Spread] = [:]

    package init() {}

    package init(from decoder: any Decoder) throws { spreads = try decoder.singleValueContainer().decode([String: Spread].self) }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(spreads)
    }

    package mutating func add(_ name: String, _ value: Double, _ unit: String) {
        spreads[name, default: Spread(unit: unit, values: [])].values.append(value)
    }

    /// Adds the values of another run.
    package mutating func add(_ other: Figures) {
        for (name, spread) in other.spreads {
            for value in spread.values { add(name, value, spread.unit) }
        }
    }

    package func median(_ name: String) -> Double? { spreads[name]?.median }
    package subscript(name: String) -> Spread? { spreads[name] }
}
