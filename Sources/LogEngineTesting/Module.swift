enum LogEngineTestingModule {}
