//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// y = intercept + slope · x by least squares, with the standard errors that say how far to trust it.
package struct LineFit: Sendable, Hashable {
    package var intercept: Double
    package var slope: Double
    /// nil with fewer than three points: two always fit exactly.
    package var slopeError: Double?

    /// - Parameter resolution: Seconds (or whatever y is in) within which each y is read off: the slope's error is never below what that
    ///   allows, however well the points happen to lie on a line.
    /// - Returns: nil with fewer than two different x.
    package init?(_ points: [(x: Double, y: Double)], resolution: Double = 0) {
        let count = Double(points.count)
        guard points.count >= 2 else { return nil }
        let meanX = points.reduce(0) { $0 + $1.x } / count
        let meanY = points.reduce(0) { $0 + $1.y } / count
        let spread = points.reduce(0) { $0 + ($1.x - meanX) * ($1.x - meanX) }
        guard spread > 0 else { return nil }
        let slope = points.reduce(0) { $0 + ($1.x - meanX) * ($1.y - meanY) } / spread
        let intercept = meanY - slope * meanX
        self.slope = slope
        self.intercept = intercept
        if points.count >= 3 {
            let residual = points.reduce(0.0) { sum, point in
                let miss = point.y - intercept - slope * point.x
                return sum + miss * miss
            }
            // A reading that falls anywhere within its resolution has this variance.
            let variance = max(residual / (count - 2), resolution * resolution / 12)
            slopeError = (variance / spread).squareRoot()
        }
    }

    /// Zero within two standard errors.
    package var slopeIsZeroWithinItsError: Bool? { slopeError.map { abs(slope) <= 2 * $0 } }
}
