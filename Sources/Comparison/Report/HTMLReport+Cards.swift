//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Metering

/// A card per mode: what whoever reads nothing else should know.
extension HTMLReport {
    var cards: String { "<div class=\"cards\">\(result.modes.map(card).joined())</div>" }

    private func card(_ mode: ModeResult) -> String {
        let withObjects = TerminalTable(result).withObjects
        let copies =
            mode.storage.map {
                "<p class=\"big\">\(Format.ratio($0.copies))<span> copies of a byte \(mark(withObjects))</span></p>"
            } ?? "<p class=\"big missing\">not measured<span> copies of a byte</span></p>"
        let rows = facts(mode).map { name, value, provenance in
            "<div><dt>\(escape(name))</dt><dd\(value == nil ? " class=\"missing\"" : "")>\(escape(value ?? "not measured")) \(mark(provenance))</dd></div>"
        }
        return """
            <article class="card b-\(ModeVariant.storageMode(of: mode.mode))"><h2>\(escape(mode.mode))</h2><p class="model">\(escape(Self.model(of: mode.mode) + Self.variation(of: mode.mode)))</p>
            \(copies)\(Charts(result: result).copySquares(mode) ?? "")<p class="how">\(escape(how(mode)))</p><dl>\(rows.joined())</dl></article>
            """
    }

    private func facts(_ mode: ModeResult) -> [(String, String?, Provenance)] {
        var facts: [(String, String?, Provenance)] = []
        let table = TerminalTable(result)
        if result.modes.contains(where: { $0.storage != nil }) {
            let written = mode.storage.map { Format.ratio($0.writeAmplification) + " ×" }
            facts.append(("written to media", written, table.withObjects == .measured ? table.belowVolume : table.withObjects))
            let wires = mode.storage.map { Format.ratio(Charts.bytesOverWires(mode) / $0.logicalBytes) + " ×" }
            let name = result.volume.basis == "measured" ? "over wires" : "over wires, mount unseen"
            facts.append((name, wires, table.belowVolume))
        }
        if let size = result.modes.flatMap({ $0.reassignment?.runs ?? [] }).map(\.logicalBytes).max() {
            let run = mode.reassignment?.runs.first { $0.logicalBytes == size }
            facts.append(("\(Format.bytes(size)) moved in", run.map { Format.seconds($0.seconds) }, .measured))
        }
        if result.modes.contains(where: { $0.failover != nil }) {
            facts.append(("broker killed, next ack", mode.failover?.seconds.map(Format.seconds), .measured))
            facts.append(("acknowledged and lost", mode.failover.map { Format.number($0.lost) }, .measured))
        }
        for sheet in sheets {
            let cost = mode.cost.first { $0.prices == sheet }
            let without = cost?.notPriced.contains(PriceSheet.Role.brokerHour.rawValue) == true ? ", no brokers" : ""
            facts.append(("a month, \(sheet)\(without)", cost.map { Format.money($0.perMonth, $0.currency) }, .computed))
        }
        return facts
    }

    private static func variation(of mode: String) -> String {
        guard mode.contains("+"), let variant = ModeVariant.named(mode) else { return "" }
        return "; " + variant.meaning
    }

    private static func model(of mode: String) -> String {
        switch ModeVariant.storageMode(of: mode) {
        case "isr": "Apache Kafka's replicated log"
        case "tiered": "replicated tail, then objects"
        case "shared": "one write-ahead log, then objects"
        default: "another engine"
        }
    }

    /// The arithmetic behind the number.
    private func how(_ mode: ModeResult) -> String {
        let replicas = result.workload.replicationFactor
        let volume =
            result.volume.basis == "measured"
            ? "\(Format.tidy(Format.ratio(result.volume.copies))) on the volume" : "1 seen on the mount"
        let objects = "\(Format.tidy(Format.ratio(result.objectStore.copies))) in the object store"
        switch ModeVariant.storageMode(of: mode.mode) {
        case "isr": return "\(replicas) replicas × \(volume)"
        case "tiered": return "tail: \(replicas) replicas × \(volume); rest: \(objects)"
        case "shared" where ModeVariant.named(mode.mode)?.properties["wal.path"] == "object:":
            return "\(objects), the log's own objects until uploaded anew"
        case "shared": return "\(volume) until uploaded, then \(objects)"
        default: return ""
        }
    }
}
