enum MeteringModule {}
