# The imported targets, of the variables rdl_include_dir, rdl_static_library, rdl_shared_library:
#
#   remote_data_loader_backend::remote_data_loader_backend   the static library, or with
#                                                            BUILD_SHARED_LIBS the shared one
#   remote_data_loader_backend::static, ::shared             the one or the other
#
# A program that has a zstd or lz4 of its own takes the shared one, which exports rdl_… alone.

if(TARGET remote_data_loader_backend_static)
  return()
endif()

add_library(remote_data_loader_backend_static STATIC IMPORTED GLOBAL)
set_target_properties(remote_data_loader_backend_static PROPERTIES
  IMPORTED_LOCATION "${rdl_static_library}"
  INTERFACE_INCLUDE_DIRECTORIES "${rdl_include_dir}"
  # What the Rust standard library needs of the system: `cargo rustc -- --print native-static-libs`.
  INTERFACE_LINK_LIBRARIES "gcc_s;pthread;m;dl")

add_library(remote_data_loader_backend_shared SHARED IMPORTED GLOBAL)
set_target_properties(remote_data_loader_backend_shared PROPERTIES
  IMPORTED_LOCATION "${rdl_shared_library}"
  INTERFACE_INCLUDE_DIRECTORIES "${rdl_include_dir}")
get_filename_component(rdl_shared_name "${rdl_shared_library}" NAME)
set_property(TARGET remote_data_loader_backend_shared PROPERTY IMPORTED_SONAME "${rdl_shared_name}")

add_library(remote_data_loader_backend::static ALIAS remote_data_loader_backend_static)
add_library(remote_data_loader_backend::shared ALIAS remote_data_loader_backend_shared)

add_library(remote_data_loader_backend_default INTERFACE IMPORTED GLOBAL)
if(BUILD_SHARED_LIBS)
  set(rdl_default remote_data_loader_backend_shared)
else()
  set(rdl_default remote_data_loader_backend_static)
endif()
set_target_properties(remote_data_loader_backend_default PROPERTIES
  INTERFACE_LINK_LIBRARIES "${rdl_default}")
if(CMAKE_CXX_COMPILER_LOADED)
  set_target_properties(remote_data_loader_backend_default PROPERTIES
    INTERFACE_COMPILE_FEATURES cxx_std_17)
endif()
add_library(remote_data_loader_backend::remote_data_loader_backend ALIAS
  remote_data_loader_backend_default)
