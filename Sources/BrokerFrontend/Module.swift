enum BrokerFrontendModule {}
