//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import LogModel
internal import TieredOffload

/// A manifest is read or refused; what is read is written and read back the same, and can be asked all that readers ask.
func fuzzManifests(_ bytes: UnsafeRawBufferPointer) throws(FuzzFinding) {
    guard let manifest = try? JSONDecoder().decode(SegmentManifest.self, from: Data(bytes)) else { return }
    let once = try encoded(manifest)
    guard let again = try? JSONDecoder().decode(SegmentManifest.self, from: once) else {
        throw FuzzFinding("a manifest cannot be read as it was written")
    }
    try demand(again.segment == manifest.segment && again.topicID == manifest.topicID, "a manifest changes when it is written")
    try demand(try encoded(again) == once, "a manifest is not written the same twice")
    let segment = manifest.segment
    let sections = [
        segment.indexes.offset, segment.indexes.time, segment.indexes.transaction, segment.indexes.producerSnapshot,
        segment.indexes.epochs,
    ]
    for section in sections.compactMap({ $0 }) {
        try demand(section.range.count == section.length, "a section's range is not its length")
    }
    try demand(segment.baseOffset <= segment.endOffset && segment.sizeInBytes >= 0, "a segment that ends before it begins is taken")
    _ = segment.epoch(at: segment.baseOffset)
}

private func encoded(_ manifest: SegmentManifest) throws(FuzzFinding) -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do { return try encoder.encode(manifest) } catch {
        throw FuzzFinding("a manifest that was read cannot be written: \(error)")
    }
}
