enum LogSegmentsModule {}
