//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import DequeModule

/// Values up to a sum of costs; the least recently used go first.
struct LRUCache<Key: Hashable, Value> {
    private struct Slot {
        var value: Value
        var cost: Int
        var lastUse: UInt64
    }

    private var slots: [Key: Slot] = [:]
    /// One entry per use; those whose use is not the slot's last are passed over.
    private var uses: Deque<(key: Key, use: UInt64)> = []
    private var clock: UInt64 = 0
    private(set) var cost = 0
    let costMax: Int

    init(costMax: Int) { self.costMax = costMax }

    mutating func value(_ key: Key) -> Value? {
        guard let slot = slots[key] else { return nil }
        touch(key)
        return slot.value
    }

    /// A value that alone exceeds the limit is not kept.
    mutating func insert(_ value: Value, for key: Key, cost newCost: Int) {
        remove(key)
        guard newCost <= costMax else { return }
        while cost + newCost > costMax, let oldest = uses.popFirst() {
            if slots[oldest.key]?.lastUse == oldest.use { remove(oldest.key) }
        }
        slots[key] = Slot(value: value, cost: newCost, lastUse: 0)
        cost += newCost
        touch(key)
    }

    mutating func remove(_ key: Key) {
        guard let slot = slots.removeValue(forKey: key) else { return }
        cost -= slot.cost
    }

    private mutating func touch(_ key: Key) {
        clock += 1
        slots[key]!.lastUse = clock
        uses.append((key, clock))
        guard uses.count > 64 + 4 * slots.count else { return }
        uses = Deque(uses.filter { slots[$0.key]?.lastUse == $0.use })
    }
}
