enum LogEngineModule {}
