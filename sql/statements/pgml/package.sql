-- PostgresML's only: an error tells that its Python cannot import the package.
select pgml.python_package_version(%(name)s::text) as version
