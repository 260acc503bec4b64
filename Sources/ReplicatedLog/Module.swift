enum ReplicatedLogModule {}
