enum BrokerNodeModule {}
