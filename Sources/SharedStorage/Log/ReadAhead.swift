//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import DequeModule
package import LogModel

/// What is to be read from objects before a reader asks for it: the more, the longer it has read in order.
package struct ReadAhead: Sendable {
    /// Where a reader goes on if it reads in order.
    package private(set) var next: Offset?
    /// What is to lie ready, or be on its way, behind what the reader asked for last, bytes.
    package private(set) var window = 0
    /// Of the last request, bytes.
    private(set) var requested = 0
    /// All below has been asked for.
    private(set) var fetchedTo = Offset.zero
    /// What has been asked for and not been read yet, in order.
    private var stretches: Deque<(end: Offset, bytes: Int)> = []
    private var bytesAhead = 0
    /// Has got what it asked for. Others may ask for the same meanwhile.
    private var isServed = true
    /// Somebody looks after it; begins again with each reader that reads elsewhere.
    var isRunning = false
    fileprivate(set) var generation = 0

    package init() {}

    /// A reader asks for `bytes` from `offset`.
    package mutating func begin(at offset: Offset, bytes: Int, _ settings: SharedStorageSettings) {
        requested = bytes
        guard offset != next else {
            guard isServed else { return }
            isServed = false
            window = min(max(2 * window, settings.readAheadBytes), settings.readAheadBytesMax)
            return
        }
        next = offset
        isServed = false
        window = 0
        fetchedTo = offset
        stretches = []
        bytesAhead = 0
        isRunning = false
        generation += 1
    }

    /// It has got what lies below `offset`.
    ///
    /// - Parameter missed: The first offset that was not on its way when it was asked for. What had been asked for and is gone again did
    ///   not fit the cache: then less is read ahead.
    package mutating func end(at offset: Offset, missed: Offset?, _ settings: SharedStorageSettings) {
        if let missed, missed < fetchedTo { window = max(window / 4, settings.readAheadBytes) }
        next = offset
        isServed = true
        fetchedTo = max(fetchedTo, offset)
        while let first = stretches.first, first.end <= offset {
            stretches.removeFirst()
            bytesAhead -= first.bytes
        }
    }

    /// Where to go on asking; nil if enough has been asked for.
    ///
    /// A first read, which may be the only one, is not read ahead of.
    package var nextFetch: Offset? {
        guard window > 0, bytesAhead < requested + window else { return nil }
        return fetchedTo
    }

    package mutating func asked(to end: Offset, bytes: Int) {
        guard end > fetchedTo else { return }
        fetchedTo = end
        guard bytes > 0 else { return }
        stretches.append((end, bytes))
        bytesAhead += bytes
    }
}

/// Of the readers of one log, each at a place of its own: those that read in order are told apart by where they go on.
package struct ReadAheads: Sendable {
    /// More than that, and the one that has not been heard of for longest is forgotten.
    package static let readersMax = 4

    private struct Reader {
        var ahead = ReadAhead()
        var lastUse = 0
    }

    private var readers: [Reader] = []
    private var uses = 0

    package init() {}

    /// A reader asks for `bytes` from `offset`.
    ///
    /// - Returns: Its number, by which the other calls know it.
    package mutating func begin(at offset: Offset, bytes: Int, _ settings: SharedStorageSettings) -> Int {
        uses += 1
        let index: Int
        if let known = readers.firstIndex(where: { $0.ahead.next == offset }) {
            index = known
        } else if readers.count < Self.readersMax {
            index = readers.count
            readers.append(Reader())
        } else {
            index = readers.indices.min { readers[$0].lastUse < readers[$1].lastUse }!
        }
        let isKnown = readers[index].ahead.next == offset
        readers[index].ahead.begin(at: offset, bytes: bytes, settings)
        if !isKnown { readers[index].ahead.generation = uses }
        readers[index].lastUse = uses
        return readers[index].ahead.generation
    }

    /// nil, and changes are lost, if the reader is forgotten.
    package subscript(reader: Int) -> ReadAhead? {
        get { readers.first { $0.ahead.generation == reader }?.ahead }
        set {
            guard let newValue, let index = readers.firstIndex(where: { $0.ahead.generation == reader }) else { return }
            readers[index].ahead = newValue
        }
    }
}
