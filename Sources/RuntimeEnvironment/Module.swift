enum RuntimeEnvironmentModule {}
