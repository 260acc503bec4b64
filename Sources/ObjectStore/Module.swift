enum ObjectStoreModule {}
