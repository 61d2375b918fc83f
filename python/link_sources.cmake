# Link every file of FROM into TO, so that a package can be imported from the build folder while its sources change.
file(GLOB_RECURSE sources RELATIVE ${FROM} ${FROM}/*.py ${FROM}/*.pyi ${FROM}/py.typed)
foreach(source ${sources})
    get_filename_component(folder ${TO}/${source} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    file(CREATE_LINK ${FROM}/${source} ${TO}/${source} SYMBOLIC)
endforeach()
