//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// What a month of a load takes: made from counts of a run, scaled to the load that is to be priced.
package struct MonthlyUsage: Codable, Sendable, Hashable {
    /// Bytes on the brokers' volumes at any time, every copy counted.
    package var volumePhysicalBytes: Double
    /// Copies the volume itself keeps of each byte (1 for a plain disk).
    package var volumeCopies: Double
    /// Bytes in the object store at any time, every copy counted.
    package var objectPhysicalBytes: Double
    package var objectCopies: Double
    /// PUT, LIST, multipart.
    package var writeRequests: Double
    /// GET, HEAD.
    package var readRequests: Double
    /// Bytes between two zones.
    package var crossZoneBytes: Double
    package var brokerHours: Double

    package init(
        volumePhysicalBytes: Double, volumeCopies: Double, objectPhysicalBytes: Double, objectCopies: Double, writeRequests: Double,
        readRequests: Double, crossZoneBytes: Double, brokerHours: Double
    ) {
        self.volumePhysicalBytes = volumePhysicalBytes
        self.volumeCopies = volumeCopies
        self.objectPhysicalBytes = objectPhysicalBytes
        self.objectCopies = objectCopies
        self.writeRequests = writeRequests
        self.readRequests = readRequests
        self.crossZoneBytes = crossZoneBytes
        self.brokerHours = brokerHours
    }
}

package struct CostItem: Codable, Sendable, Hashable {
    package var role: PriceSheet.Role
    /// Bytes, requests or hours on the bill.
    package var quantity: Double
    /// In the sheet's currency.
    package var amount: Double
    /// Figures the price rests on.
    package var figures: [String]
}

package struct MonthlyCost: Codable, Sendable, Hashable {
    package var prices: String
    package var currency: String
    package var perMonth: Double
    package var items: [CostItem]
    /// Roles without a price in the sheet although the usage has some: they are not in ``perMonth``.
    package var notPriced: [String]
}

extension PriceSheet {
    /// Prices a month of `usage`: quantity × unit price per role. Pure.
    ///
    /// - Parameter roles: What to price. A role the sheet does not price at all goes to ``MonthlyCost/notPriced``; a role whose
    ///   figure has no value is an error.
    package func cost(of usage: MonthlyUsage, roles wanted: [Role] = Role.allCases) throws(PriceSheetError) -> MonthlyCost {
        var items: [CostItem] = []
        var notPriced: [String] = []
        for role in wanted {
            guard let pricing = roles[role] else {
                if quantity(of: usage, role, bills: nil) > 0 { notPriced.append(role.rawValue) }
                continue
            }
            let quantity = quantity(of: usage, role, bills: pricing.bills)
            let amount = quantity * (try unitPrice(role))
            items.append(
                CostItem(role: role, quantity: quantity, amount: amount, figures: pricing.figures + (pricing.dividedBy ?? [])))
        }
        return MonthlyCost(
            prices: name, currency: currency, perMonth: items.reduce(0) { $0 + $1.amount }, items: items, notPriced: notPriced)
    }

    private func quantity(of usage: MonthlyUsage, _ role: Role, bills: BilledCopies?) -> Double {
        switch role {
        case .volumeStorage:
            bills == .everyCopy ? usage.volumePhysicalBytes : usage.volumePhysicalBytes / max(usage.volumeCopies, 1)
        case .objectStorage:
            bills == .everyCopy ? usage.objectPhysicalBytes : usage.objectPhysicalBytes / max(usage.objectCopies, 1)
        case .writeRequests: usage.writeRequests
        case .readRequests: usage.readRequests
        case .crossZone: usage.crossZoneBytes
        case .brokerHour: usage.brokerHours
        }
    }
}

/// Bytes per second that cross a zone in the usual model of three zones: clients and leaders spread evenly, replicas in different
/// zones.
package struct ZoneModel: Sendable, Hashable {
    package var zones: Double

    package init(zones: Double = 3) { self.zones = zones }

    /// Share of a client's bytes that go to another zone.
    package var clientShare: Double { (zones - 1) / zones }

    /// - Parameters:
    ///   - produced, consumed, replicated: Bytes of each class.
    ///   - fetchesFromFollower: Consumers read in their own zone (KIP-392).
    package func crossZoneBytes(produced: Double, consumed: Double, replicated: Double, fetchesFromFollower: Bool = false) -> Double
    {
        produced * clientShare + replicated + (fetchesFromFollower ? 0 : consumed * clientShare)
    }
}
