//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogModel
import Testing
import TieredOffload

/// Lookup by (epoch, offset) where changes of leader left copies that overlap.
@Suite struct SegmentViewTests {
    private func segment(
        _ offsets: Range<Int64>, leader: Int32 = 1, epochs: [(Int32, Int64)] = [(1, 0)], state: RemoteSegment.State = .copyFinished
    ) throws -> RemoteSegment {
        let entries = epochs.map { EpochStart(epoch: LeaderEpoch($0.0), startOffset: Offset($0.1)) }
        let section = "{\"start\":0,\"length\":0,\"crc32c\":0}"
        let starts = entries.map { "{\"epoch\":\($0.epoch),\"startOffset\":\($0.startOffset)}" }.joined(separator: ",")
        return try decodeRecord(
            Array(
                """
                {"id":"\(offsets.lowerBound)-\(leader)","state":"\(state.rawValue)","objectKey":"k","baseOffset":\(offsets.lowerBound),
                "endOffset":\(offsets.upperBound),"maxTimestamp":5,"sizeInBytes":\(offsets.count * 10),"crc32c":0,"broker":1,
                "leaderEpoch":\(leader),"eventTime":0,"epochs":[\(starts)],
                "indexes":{"offset":\(section),"time":\(section),"epochs":\(section)}}
                """.utf8))
    }

    private func history(_ epochs: (Int32, Int64)...) -> EpochHistory {
        EpochHistory(epochs.map { EpochStart(epoch: LeaderEpoch($0.0), startOffset: Offset($0.1)) })
    }

    private func range(_ offsets: Range<Int64>) -> Range<Offset> { Offset(offsets.lowerBound)..<Offset(offsets.upperBound) }

    @Test func onlyFinishedCopiesAreSeen() throws {
        let view = SegmentView([
            try segment(0..<10, state: .copyStarted), try segment(10..<20, state: .deleteStarted), try segment(20..<30),
        ])
        #expect(view.segments.map(\.baseOffset.rawValue) == [20])
        #expect(view.end == Offset(30))
        #expect(!view.covers(range(15..<30), in: history((1, 0))))
    }

    @Test func overlapIsReadFromTheLatestLeader() throws {
        let view = SegmentView([try segment(0..<10), try segment(10..<20), try segment(5..<25, leader: 2)])
        let history = history((1, 0))
        #expect(view.segment(holding: Offset(12), in: history)?.leaderEpoch == LeaderEpoch(2))
        #expect(view.segments(holding: Offset(12), in: history).count == 2)
        #expect(view.pieces(from: .zero, in: history).map(\.segment.baseOffset.rawValue) == [0, 5])
        #expect(view.pieces(from: .zero, in: history).map(\.offsets) == [range(0..<10), range(10..<25)])
        #expect(view.covers(range(0..<25), in: history))
        #expect(!view.covers(range(0..<26), in: history))
    }

    @Test func aLargeSegmentIsFoundBehindSmallOnes() throws {
        let small = try (1..<50).map { try segment($0 * 10..<($0 * 10 + 1)) }
        let view = SegmentView(small + [try segment(0..<1_000)])
        #expect(view.segment(holding: Offset(495), in: history((1, 0)))?.endOffset == Offset(1_000))
        #expect(view.segment(holding: Offset(1_000), in: history((1, 0))) == nil)
    }

    @Test func gapsAreNoCover() throws {
        let view = SegmentView([try segment(0..<10), try segment(20..<30)])
        #expect(view.pieces(from: .zero, in: history((1, 0))).count == 2)
        #expect(!view.covers(range(0..<30), in: history((1, 0))))
        #expect(view.covers(range(22..<30), in: history((1, 0))))
    }

    @Test func whatAnUncleanElectionTookBackIsNotTheLogs() throws {
        // The leader of epoch 1 uploaded 0 ..< 20; the next one had only 0 ..< 12, and went on from there.
        let lost = try segment(0..<20)
        let view = SegmentView([lost])
        let history = history((1, 0), (3, 12))
        #expect(SegmentView.end(of: lost, from: .zero, in: history) == Offset(12))
        #expect(view.covers(range(0..<12), in: history))
        #expect(!view.covers(range(0..<13), in: history))
        #expect(view.segment(holding: Offset(15), in: history) == nil)
        let renewed = SegmentView([lost, try segment(12..<30, leader: 3, epochs: [(3, 12)])])
        #expect(renewed.covers(range(0..<30), in: history))
        #expect(renewed.pieces(from: .zero, in: history).map(\.offsets) == [range(0..<12), range(12..<30)])
        // Of the first as much as is the log's own.
        #expect(renewed.pieces(from: .zero, in: history).map(\.sizeInBytes) == [120, 180])
    }

    @Test func theEndIsThatOfTheLogsOwnLineage() throws {
        let lost = try segment(20..<90, leader: 2, epochs: [(2, 20)])
        let view = SegmentView([try segment(0..<20), lost, try segment(20..<40, leader: 3, epochs: [(3, 20)])])
        let history = history((1, 0), (3, 20))
        #expect(view.end == Offset(90) && view.end(in: history) == Offset(40))
        #expect(view.quickEnd(below: Offset(1_000)) { history.epoch(at: $0) } == nil)
        #expect(SegmentView([try segment(0..<20)]).quickEnd(below: Offset(15)) { history.epoch(at: $0) } == Offset(15))
        #expect(view.segment(holding: Offset(30), of: LeaderEpoch(2))?.endOffset == Offset(90))
        #expect(view.segment(holding: Offset(30), of: LeaderEpoch(3))?.endOffset == Offset(40))
        #expect(view.segment(holding: Offset(30), of: LeaderEpoch(1)) == nil)
    }

    @Test func whatWentAnotherWayIsForeign() throws {
        let history = history((1, 0), (3, 12))
        let shared = try segment(0..<20)
        #expect(!SegmentView.isForeign(shared, from: .zero, to: history))
        #expect(SegmentView.isForeign(shared, from: Offset(12), to: history), "of what is its own nothing is left")
        #expect(SegmentView.isForeign(try segment(12..<20), from: .zero, to: history))
        #expect(!SegmentView.isForeign(try segment(12..<20, epochs: [(3, 12)]), from: .zero, to: history))
        #expect(!SegmentView.isForeign(try segment(12..<20), from: .zero, to: EpochHistory()), "nothing is known")
    }
}
