//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Comparison

/// A workload file is one that can be run, or is refused with a reason.
func fuzzWorkload(_ bytes: UnsafeRawBufferPointer) throws(FuzzFinding) {
    let workload: WorkloadFile
    do throws(WorkloadFileError) { workload = try WorkloadFile(yaml: String(decoding: bytes, as: UTF8.self)) } catch {
        return try demand(!error.description.isEmpty, "a workload is refused without a reason")
    }
    try demand(
        workload.topics >= 1 && workload.partitionsPerTopic >= 1 && workload.messageSize >= 1,
        "a workload with nothing to send is taken")
    try demand(workload.producerRate.isFinite && workload.testDurationMinutes > 0, "a workload without a rate or an end is taken")
}
