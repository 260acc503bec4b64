//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import Metering
import Testing

@Suite struct CostTests {
    @Test(arguments: PriceSheet.shippedNames) func shippedSheetIsWholeAndDated(name: String) throws {
        let sheet = try PriceSheet.named(name)
        #expect(sheet.name == name)
        #expect(!sheet.figures.isEmpty)
        for figure in sheet.figures {
            #expect(!figure.source.isEmpty)
            #expect(!figure.asOf.isEmpty)
        }
        for role in sheet.roles.keys { #expect(try sheet.unitPrice(role) >= 0) }
    }

    @Test func missingValueIsNamedAndNeverGuessed() throws {
        var sheet = try PriceSheet.named("azure-eastus")
        sheet.roles[.volumeStorage] = PriceSheet.Pricing(figures: ["disk.premium_ssd_v2.iops"], dividedBy: nil, per: 1, bills: nil)
        #expect(throws: PriceSheetError("price sheet azure-eastus: no value for disk.premium_ssd_v2.iops")) {
            try sheet.unitPrice(.volumeStorage)
        }
    }

    @Test func truncatedSheetSaysSo() throws {
        let whole = try JSONEncoder().encode(PriceSheet.named("onprem"))
        for length in [0, 1, whole.count / 2, whole.count - 1] {
            #expect(throws: PriceSheetError.self) { try PriceSheet(json: whole.prefix(length), name: "cut.json") }
        }
    }

    @Test func sheetOfAnotherSchemaIsRefused() throws {
        var sheet = try PriceSheet.named("onprem")
        sheet.schema = "ninefold/prices/2"
        let json = try JSONEncoder().encode(sheet)
        #expect(throws: PriceSheetError("price sheet new.json: schema ninefold/prices/2, this program reads ninefold/prices/1")) {
            try PriceSheet(json: json, name: "new.json")
        }
    }

    /// Published: 300 MiB/s in, RF 3, two groups: 1,200 MiB/s cross zones.
    @Test func crossZoneTrafficMatchesAPublishedFigure() {
        let crossing = ZoneModel().crossZoneBytes(produced: 300, consumed: 600, replicated: 600)
        #expect(abs(crossing - 1_200) < 1_200 * 0.002)
    }

    /// Published: 1 GiB/s in, RF 3, consumers in their own zone, 30 days: USD 138,240 a month at USD 0.02 per GiB.
    @Test func crossZoneBillMatchesAPublishedTotal() {
        let gibibytes = 86_400.0 * 30
        let crossing = ZoneModel().crossZoneBytes(
            produced: gibibytes, consumed: gibibytes, replicated: gibibytes * 2, fetchesFromFollower: true)
        #expect(abs(crossing * 0.02 - 138_240) < 138_240 * 0.001)
    }

    /// Three replicas on a store of three copies: nine; the cloud bills the brokers' three, the owner of the disks all nine.
    @Test func billedCopiesFollowTheSheet() throws {
        let gibibyte = 1_073_741_824.0
        let usage = MonthlyUsage(
            volumePhysicalBytes: 9 * gibibyte, volumeCopies: 3, objectPhysicalBytes: 0, objectCopies: 3, writeRequests: 0,
            readRequests: 0, crossZoneBytes: 0, brokerHours: 0)
        let cloud = try PriceSheet.named("aws-us-east-1").cost(of: usage, roles: [.volumeStorage])
        #expect(abs(cloud.perMonth - 3 * 0.08) < 1e-9)
        let owned = try PriceSheet.named("onprem").cost(of: usage, roles: [.volumeStorage])
        #expect(abs(owned.perMonth - 9 * 1.073741824 * 14 * 2.5 / 60 / 1000 / 0.75) < 1e-9)
    }

    @Test func whatASheetDoesNotPriceIsListed() throws {
        let usage = MonthlyUsage(
            volumePhysicalBytes: 1, volumeCopies: 1, objectPhysicalBytes: 1, objectCopies: 1, writeRequests: 5, readRequests: 0,
            crossZoneBytes: 0, brokerHours: 730)
        let cost = try PriceSheet.named("alibaba").cost(of: usage)
        #expect(cost.notPriced == ["writeRequests", "brokerHour"])
    }
}
