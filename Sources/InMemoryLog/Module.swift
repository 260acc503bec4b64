enum InMemoryLogModule {}
