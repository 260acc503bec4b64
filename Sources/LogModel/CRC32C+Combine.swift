//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

extension CRC32C {
    /// Joins the checksums of neighbouring stretches of bytes, without a look at the bytes.
    ///
    /// A CRC is a remainder modulo a polynomial, so appending n bytes to what was summed multiplies by x^(8n): the factor is made
    /// once per length, as zlib's `crc32_combine_gen` does.
    package struct Combiner: Sendable {
        private let factor: UInt32

        /// - Parameter length: Bytes of the second stretch.
        package init(appending length: Int) { factor = CRC32C.power(ofBytes: UInt64(length)) }

        /// The checksum of both stretches, of which `first` and `second` are the checksums.
        package func combine(_ first: UInt32, _ second: UInt32) -> UInt32 { CRC32C.multiply(factor, first) ^ second }
    }

    /// Bit-reflected, as all values here: the highest bit is the coefficient of x^0.
    private static let polynomial: UInt32 = 0x82F6_3B78
    private static let one: UInt32 = 1 << 31

    /// The product modulo the polynomial.
    private static func multiply(_ left: UInt32, _ right: UInt32) -> UInt32 {
        var product: UInt32 = 0
        var shifted = right
        var bit = one
        while bit != 0 {
            if left & bit != 0 { product ^= shifted }
            shifted = shifted & 1 != 0 ? (shifted >> 1) ^ polynomial : shifted >> 1
            bit >>= 1
        }
        return product
    }

    /// x^(8·2^k) for each k: what squaring would make again and again.
    private static let squares: [UInt32] = {
        var square = one >> 8
        return (0..<UInt64.bitWidth).map { _ in
            defer { square = multiply(square, square) }
            return square
        }
    }()

    private static func power(ofBytes bytes: UInt64) -> UInt32 {
        var power = one
        var rest = bytes
        while rest != 0 {
            power = multiply(power, squares[rest.trailingZeroBitCount])
            rest &= rest - 1
        }
        return power
    }
}
