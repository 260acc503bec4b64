enum SharedStorageModule {}
