enum KafkaNetworkModule {}
