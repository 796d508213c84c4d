-- Which engine answers.
select pgml.version() as version
