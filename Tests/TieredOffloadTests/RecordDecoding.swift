//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import TieredOffload

func decodeRecord(_ bytes: [UInt8]) throws -> RemoteSegment { try JSONDecoder().decode(RemoteSegment.self, from: Data(bytes)) }
