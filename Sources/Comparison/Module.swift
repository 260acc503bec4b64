enum ComparisonModule {}
