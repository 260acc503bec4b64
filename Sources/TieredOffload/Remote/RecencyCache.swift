//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Values up to a sum of costs; the least recently used go first.
struct RecencyCache<Key: Hashable, Value> {
    private struct Slot {
        var value: Value
        var cost: Int
        var lastUse: UInt64
    }

    private var slots: [Key: Slot] = [:]
    private var uses: UInt64 = 0
    private var cost = 0
    private let costMax: Int

    init(costMax: Int) { self.costMax = costMax }

    mutating func value(_ key: Key) -> Value? {
        guard let value = slots[key]?.value else { return nil }
        uses += 1
        slots[key]!.lastUse = uses
        return value
    }

    mutating func insert(_ value: Value, for key: Key, cost: Int) {
        remove(key)
        uses += 1
        slots[key] = Slot(value: value, cost: cost, lastUse: uses)
        self.cost += cost
        guard self.cost > costMax else { return }
        // To three quarters, so that the search for the oldest is not made at each insertion.
        for (key, _) in slots.sorted(by: { $0.value.lastUse < $1.value.lastUse }) {
            guard self.cost > costMax / 4 * 3 else { return }
            remove(key)
        }
    }

    mutating func remove(_ key: Key) {
        guard let slot = slots.removeValue(forKey: key) else { return }
        cost -= slot.cost
    }
}
