enum ClusterMetadataModule {}
