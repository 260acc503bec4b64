//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Foundation

/// Dated prices with a source per figure, and which figure prices what.
package struct PriceSheet: Codable, Sendable, Hashable {
    package struct Figure: Codable, Sendable, Hashable {
        package var id: String
        /// nil: nothing trustworthy was found. Computing with it is an error that names it.
        package var value: Double?
        package var unit: String
        package var currency: String?
        package var source: String
        /// `vendor-page`, `price-api`, `third-party` or `assumption`.
        package var sourceKind: String
        /// Date of the figure, not of our look-up.
        package var asOf: String

        package init(
            id: String, value: Double? = nil, unit: String, currency: String? = nil, source: String, sourceKind: String,
            asOf: String
        ) {
            self.id = id
            self.value = value
            self.unit = unit
            self.currency = currency
            self.source = source
            self.sourceKind = sourceKind
            self.asOf = asOf
        }
    }

    /// What is paid for.
    package enum Role: String, Codable, Sendable, Hashable, CaseIterable, CodingKeyRepresentable {
        /// A byte on the brokers' volumes for a month.
        case volumeStorage
        /// A byte in the object store for a month.
        case objectStorage
        /// A PUT, LIST or multipart request.
        case writeRequests
        /// A GET or HEAD request.
        case readRequests
        /// A byte that crosses a zone.
        case crossZone
        /// A broker for an hour.
        case brokerHour
    }

    /// Which of the counted copies are on the bill.
    package enum BilledCopies: String, Codable, Sendable, Hashable {
        /// Those the brokers make; what the volume keeps below them is in the provider's price.
        case brokerCopies
        /// One, whatever the store keeps.
        case oneCopy
        /// Every copy on media: owned hardware.
        case everyCopy
    }

    /// Unit price = product of `figures` ÷ product of `dividedBy` ÷ `per`.
    package struct Pricing: Codable, Sendable, Hashable {
        package var figures: [String]
        package var dividedBy: [String]?
        /// Bytes, requests or hours that the figures speak of.
        package var per: Double
        package var bills: BilledCopies?

        package init(figures: [String], dividedBy: [String]? = nil, per: Double, bills: BilledCopies? = nil) {
            self.figures = figures
            self.dividedBy = dividedBy
            self.per = per
            self.bills = bills
        }
    }

    package var schema: String
    package var name: String
    package var currency: String
    package var retrieved: String
    package var roles: [Role: Pricing]
    package var figures: [Figure]

    package static let schemaName = "ninefold/prices/1"

    package init(schema: String, name: String, currency: String, retrieved: String, roles: [Role: Pricing], figures: [Figure]) {
        self.schema = schema
        self.name = name
        self.currency = currency
        self.retrieved = retrieved
        self.roles = roles
        self.figures = figures
    }
}

/// A price sheet that cannot be used, in one line.
package struct PriceSheetError: Error, Hashable, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}

extension PriceSheet {
    /// Names of the sheets that come with the program.
    package static let shippedNames = ["aws-us-east-1", "gcp-us-east1", "azure-eastus", "alibaba", "onprem"]

    /// A shipped sheet by name, or one from a file (a name with `/` or ending in `.json`).
    package static func named(_ name: String) throws(PriceSheetError) -> PriceSheet {
        if name.contains("/") || name.hasSuffix(".json") {
            guard let data = FileManager.default.contents(atPath: name) else {
                throw PriceSheetError(
                    "price sheet \(name): cannot be read; give a file or one of \(shippedNames.joined(separator: ", "))")
            }
            return try PriceSheet(json: data, name: name)
        }
        let bytes: [UInt8]? =
            switch name {
            case "aws-us-east-1": PackageResources.aws_us_east_1_json
            case "gcp-us-east1": PackageResources.gcp_us_east1_json
            case "azure-eastus": PackageResources.azure_eastus_json
            case "alibaba": PackageResources.alibaba_json
            case "onprem": PackageResources.onprem_json
            default: nil
            }
        guard let bytes else {
            throw PriceSheetError("price sheet \(name): unknown; give a file or one of \(shippedNames.joined(separator: ", "))")
        }
        return try PriceSheet(json: Data(bytes), name: name)
    }

    package init(json: Data, name: String) throws(PriceSheetError) {
        let sheet: PriceSheet
        do {
            sheet = try JSONDecoder().decode(PriceSheet.self, from: json)
        } catch DecodingError.keyNotFound(let key, let context) {
            let place = context.codingPath.map(\.stringValue).joined(separator: ".")
            throw PriceSheetError("price sheet \(name): \(place.isEmpty ? "the sheet" : place) has no \"\(key.stringValue)\"")
        } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context) {
            let place = context.codingPath.map(\.stringValue).joined(separator: ".")
            throw PriceSheetError("price sheet \(name): \(place) is of the wrong type")
        } catch {
            throw PriceSheetError("price sheet \(name): not whole JSON (cut off, or damaged); fetch or write it anew")
        }
        guard sheet.schema == Self.schemaName else {
            throw PriceSheetError("price sheet \(name): schema \(sheet.schema), this program reads \(Self.schemaName)")
        }
        for (role, pricing) in sheet.roles {
            for id in pricing.figures + (pricing.dividedBy ?? []) where !sheet.figures.contains(where: { $0.id == id }) {
                throw PriceSheetError(
                    "price sheet \(name): roles.\(role.rawValue) names the figure \(id), which is not in the sheet")
            }
            guard pricing.per > 0 else { throw PriceSheetError("price sheet \(name): roles.\(role.rawValue).per must be above 0") }
        }
        self = sheet
    }

    /// Price of one byte-month, request, byte or hour, by role.
    ///
    /// - Throws: A ``PriceSheetError`` that names the role or the figure that is missing: never a guess.
    package func unitPrice(_ role: Role) throws(PriceSheetError) -> Double {
        guard let pricing = roles[role] else { throw PriceSheetError("price sheet \(name): no price for \(role.rawValue)") }
        var price = 1 / pricing.per
        for id in pricing.figures { price *= try value(of: id) }
        for id in pricing.dividedBy ?? [] {
            let divisor = try value(of: id)
            guard divisor > 0 else { throw PriceSheetError("price sheet \(name): \(id) must be above 0") }
            price /= divisor
        }
        return price
    }

    private func value(of id: String) throws(PriceSheetError) -> Double {
        guard let value = figures.first(where: { $0.id == id })?.value else {
            throw PriceSheetError("price sheet \(name): no value for \(id)")
        }
        return value
    }

    /// The figures a role rests on, for the report's footnotes.
    package func figures(for role: Role) -> [Figure] {
        guard let pricing = roles[role] else { return [] }
        return figures.filter { pricing.figures.contains($0.id) || (pricing.dividedBy ?? []).contains($0.id) }
    }
}
