enum TieredOffloadModule {}
