enum SimulationKitModule {}
