//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Which streams of an upload go into which object: one of its own for who brings much, shared ones for the rest.
enum UploadPlan {
    /// - Returns: The cuts of each object, by stream.
    static func objects(of cuts: [UploadCut], splitBytes: Int64, streamsMax: Int) -> [[UploadCut]] {
        let sorted = cuts.sorted { $0.stream < $1.stream }
        var objects = sorted.filter { $0.bytes >= splitBytes }.map { [$0] }
        let small = sorted.filter { $0.bytes < splitBytes }
        var start = 0
        while start < small.count {
            let end = min(start + streamsMax, small.count)
            objects.append(Array(small[start..<end]))
            start = end
        }
        return objects
    }
}
