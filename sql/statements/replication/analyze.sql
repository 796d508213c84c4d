-- Statistics of what the first copy has brought: autovacuum comes too late for the first night.
analyze {tables}
