//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import NIOCore

/// Tells whether directories hold the copies of one replicated volume: a file `.volume` in each says which and of how many.
///
/// Without it, an emptied first copy would be taken for the truth and the others emptied after it.
enum CopyIdentity {
    static let name = ".volume"

    static func check(_ disks: [PosixDisk], directory: String, specification: String) throws(VolumeError) {
        do {
            let present = try disks.map { disk throws(DiskError) in
                try disk.exists(name) ? String(buffer: try disk.readFile(name)) : nil
            }
            if present.allSatisfy({ $0 == nil }) {
                for (copy, disk) in disks.enumerated() where try !disk.list("").isEmpty {
                    throw VolumeError(
                        "volume '\(specification)': \(directory)/copy-\(copy) holds files of something else; name an empty directory"
                    )
                }
            }
            var isBegun = true
            for (copy, text) in present.enumerated() {
                guard let text else { continue }
                guard text == content(copy, of: disks.count) else {
                    throw VolumeError(
                        "volume '\(specification)': \(directory)/copy-\(copy) is \(text.split(separator: "\n").joined(separator: ", "));"
                            + " the number of copies of a volume cannot be changed")
                }
                if try disks[copy].list("").count > 1 { isBegun = false }
            }
            for (copy, disk) in disks.enumerated() where present[copy] == nil {
                // Where no copy holds data yet, an earlier start was cut off here.
                guard isBegun else {
                    throw VolumeError(
                        "volume '\(specification)': \(directory)/copy-\(copy) is empty while other copies hold data; "
                            + "restore it with: cp -a \(directory)/copy-\((copy + 1) % disks.count)/. \(directory)/copy-\(copy)"
                            + " and write its own number into \(name)")
                }
                try disk.replaceFile(name, with: ByteBuffer(string: content(copy, of: disks.count)))
            }
        } catch let error as VolumeError {
            throw error
        } catch {
            throw VolumeError("volume '\(specification)': \(error)")
        }
    }

    private static func content(_ copy: Int, of count: Int) -> String { "copy \(copy) of \(count)\n" }
}
