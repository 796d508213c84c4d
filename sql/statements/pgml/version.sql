-- Which engine answers.
select ml_pgml.version() as version
